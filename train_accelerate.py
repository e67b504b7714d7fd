"""Train a DermSim encoder, from photographs to a checkpoint folder. Read from top to bottom.

    accelerate launch train_accelerate.py --data <source>                    # how the release began
    accelerate launch train_accelerate.py --preset smoke                     # a minute on a CPU
    accelerate launch train_accelerate.py --preset simclr --data <source>    # without diagnoses

The same script runs on a CPU, one GPU, several GPUs and several hosts; `accelerate config` says
which, nothing below does. `--help` lists every choice, `--resume` goes on after an interruption.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, set_seed
from timm.utils import ModelEmaV3
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import get_cosine_schedule_with_warmup

from dermsim.core.labels import CODES
from dermsim.core.optional import require
from dermsim.data.dataset import open_source
from dermsim.data.elsewhere import load_elsewhere, without_shared
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.label_mapping import parse_mapping
from dermsim.data.outlines import load_masks
from dermsim.data.splits import grouped_splits, without
from dermsim.engine import DermSim
from dermsim.evaluation.card import measured_files
from dermsim.evaluation.checkpoint import evaluate_checkpoint, origin_name
from dermsim.models.color_constancy_dermsim import shades_of_grey
from dermsim.models.depthwise import QuickDepthwise
from dermsim.models.encoder import copy_encoder
from dermsim.models.preparation import ImagePreparation
from dermsim.training.augment import draw_views, mixer, render_views
from dermsim.training.config import TrainConfig
from dermsim.training.freezing import Freezing, parameter_groups
from dermsim.training.objective import Truth, class_weights, log_prior, training_loss
from dermsim.training.precision import usable_precision
from dermsim.training.presets import PRESETS, flatten, run_record
from dermsim.training.probe import fit_classifier
from dermsim.training.run_state import StateFolder, run_choices
from dermsim.training.sampler import BalancedSampler
from dermsim.training.state_files import Learning, Progress
from dermsim.training.teachers import Teachers
from dermsim.training.training_set import TrainingSet, check_diagnoses, draw_shown_facts
from dermsim.training.transfer import new_encoder, normalisation_of
from dermsim.training.validation import Validation


def main(config: TrainConfig) -> Path:
    """Train, calibrate, index, evaluate and write the checkpoint folder.

    Args:
        config: Every choice of the run.

    Returns:
        The folder that `DermSim.from_pretrained` opens.

    Raises:
        FileExistsError: If the output holds another run and `resume` is not set.
        FileNotFoundError: If `resume` is set and there is nothing to resume, or there is no such
            data.
        ValueError: If the data cannot be read, or not be trained on, or a run is resumed with
            other choices than it was begun with.
        ImportError: If a tracker is not installed.
        FloatingPointError: If the loss stops being a number.
        OSError: If the output cannot be written, another run is writing it, or the disk is too full
            for the run.
    """
    with StateFolder(config.output / "state") as states:
        return run(config, states)


def run(config: TrainConfig, states: StateFolder) -> Path:
    """Do what `main` says, with the states of the run in a folder that no other run writes."""
    started = time.monotonic()
    encoder, optim, augment, loss = config.encoder, config.optim, config.augment, config.loss

    # --- what is wrong with a table or folder is said now, and no picture is read yet ----------
    opened = open_source(
        config.data, label_column=config.label_column or None, mapping=parse_mapping(config.map)
    )
    shift = open_source(config.shift) if config.shift else None

    # --- where it runs ------------------------------------------------------------------------
    for tracker in config.trackers:  # Accelerate would only warn, and the curves be lost
        require(tracker, extra=tracker)
    parallel = DistributedDataParallelKwargs(find_unused_parameters=config.some_weights_rest)
    patient = InitProcessGroupKwargs(timeout=timedelta(hours=12))  # the first evaluates alone
    precision = usable_precision(optim.mixed_precision, cpu=config.cpu)
    accelerator = Accelerator(
        cpu=config.cpu,
        mixed_precision=precision,
        gradient_accumulation_steps=optim.gradient_accumulation,
        log_with=list(config.trackers) or None,
        project_dir=config.output,
        kwargs_handlers=[parallel, patient],
    )
    if precision != optim.mixed_precision:
        accelerator.print("this CPU has no bfloat16 of its own: training in float32")
    device, world, rank = accelerator.device, accelerator.num_processes, accelerator.process_index
    if accelerator.is_main_process:
        states.prepare(resume=config.resume, choices=run_choices(config, opened))
    accelerator.wait_for_everyone()
    set_seed(config.seed)  # the weights; order and augmentation have generators of their own
    torch.backends.cudnn.benchmark = True  # every batch has the same shape

    # --- photographs: decoded once, kept as bytes where they are augmented --------------------
    if opened.mapping.translates:
        accelerator.print("\n".join(opened.mapping.lines()))
    dataset = opened.load()
    splits = grouped_splits(dataset)
    rows, held_out = (without(splits[s], config.leave_out) for s in ("train", "validation"))
    check_diagnoses(rows, held_out, every=config.fits_classifier)
    away = (splits["validation"], splits["test"])
    elsewhere = load_elsewhere(config.also, parse_mapping(config.also_map, option="--also-map"))
    elsewhere = elsewhere.apart_from(away, names=config.also)
    more = [without_shared(load_ham10000(s), away, name=s) for s in config.unlabelled]
    size, side = encoder.image_size, encoder.test_image_size
    train = TrainingSet.load(
        rows,
        also=[without(source, config.leave_out) for source in elsewhere.labelled],
        own=elsewhere.own,
        unlabelled=more,
        outlines=load_masks(config.outlines) if config.outlines else None,
        facts=encoder.facts,
        whole=encoder.sees_whole,
        prepare=shades_of_grey if encoder.color_constancy == "both" else None,
        image_size=size,
        device=device,
    )
    sampler = BalancedSampler(
        train.labels.tolist(),
        balance=optim.balance,
        seed=config.seed,
        also=train.further,
        also_share=config.also_share,
    )
    # What the loader yields are indices: an epoch's worth of them weighs 60 kB.
    loader = DataLoader(range(len(train)), optim.batch_size, sampler=sampler, drop_last=True)

    # --- validation goes through the processor that ships with the weights --------------------
    known = normalisation_of(encoder)
    mean, std = (known.mean, known.std) if known else (train.mean, train.std)
    processor = ImagePreparation(
        size={"longest_edge" if encoder.sees_whole else "shortest_edge": side},
        image_mean=tuple(mean),
        image_std=tuple(std),
        do_color_constancy=encoder.color_constancy != "no",
    ).at(side)
    validation = Validation.load(held_out, processor)
    validation_loader = DataLoader(range(len(validation)), 4 * optim.batch_size)

    # --- the encoder and what moves it --------------------------------------------------------
    model, origin = new_encoder(encoder, own_outputs=train.own_outputs)
    model = model.to(memory_format=torch.channels_last)
    states.check_room(model)
    blank = not (encoder.start or encoder.from_imagenet)
    freezing = Freezing(model, config.freeze, epochs=optim.epochs, random=blank)
    optimizer = torch.optim.AdamW(
        parameter_groups(
            model,
            learning_rate=optim.learning_rate,
            backbone_rate=config.freeze.backbone_rate,
            weight_decay=optim.weight_decay,
            layer_decay=optim.layer_decay,
        ),
        fused=True,
    )
    model, optimizer, loader, validation_loader = accelerator.prepare(
        model, optimizer, loader, validation_loader
    )
    # The scheduler is not prepared: Accelerate would step it once per process.
    # Accelerate ends every epoch with an update, whatever was accumulated.
    updates = optim.epochs * math.ceil(len(loader) / optim.gradient_accumulation)
    if updates == 0:
        raise ValueError(
            f"{len(train)} training images do not fill one batch of {optim.batch_size} on each of "
            f"{world} processes; choose a smaller --optim.batch-size."
        )
    scheduler = get_cosine_schedule_with_warmup(optimizer, int(optim.warmup * updates), updates)
    average = ModelEmaV3(accelerator.unwrap_model(model), optim.ema_decay, use_warmup=True)
    progress = Progress()
    learning = Learning(
        model=accelerator.unwrap_model(model),
        average=average.module,
        optimizer=optimizer.optimizer,
        scheduler=scheduler,
        progress=progress,
        device=device,
        scaler=accelerator.scaler,
    )
    classes = len(CODES) + len(train.own_outputs)
    drawn = sampler.class_counts(classes)
    class_weight = class_weights(drawn, loss.class_weighting).to(device)
    prior = log_prior(drawn * class_weight.cpu())
    # What was drawn more often is also expected more often: that is no evidence.
    unearned = loss.prior_correction * prior[: len(CODES)]
    class_bias = prior.to(device) * loss.logit_adjustment
    teacher = None
    if config.teacher:
        views_like = replace(processor, do_color_constancy=encoder.color_constancy == "both")
        teacher = Teachers.load(config.teacher, views_like, log_prior=unearned).to(device)

    if config.resume:
        states.load(accelerator, learning)
    accelerator.init_trackers("dermsim", config=flatten(config))
    parameters = sum(p.numel() for p in average.parameters())
    words = f"{parameters / 1e6:.1f} M parameters; {len(train)} training and {len(validation)}"
    where = f"{world} x {device.type}"
    accelerator.print(f"{words} validation images; {updates} updates on {where}")

    def validate() -> dict[str, float]:
        """Judge the averaged weights on validation."""
        average.module.eval()
        found = []
        for batch in validation_loader:
            with torch.inference_mode(), accelerator.autocast():
                output = average.module(validation.pixel_values[batch.cpu()].to(device))
            logits = output.logits[:, : len(CODES)] - unearned.to(device)
            answers = (logits, output.embeddings)
            found.append(accelerator.gather_for_metrics(answers))
        return validation.score(*(torch.cat(part) for part in zip(*found, strict=True)))

    # --- training -----------------------------------------------------------------------------
    if progress.step == 0:  # at once, so that what is broken there breaks now
        accelerator.log(validate(), step=0)
    for epoch in range(progress.epoch, optim.epochs):
        # At the end the weights settle on photographs as they are (as FixRes and YOLOX do).
        cooled = epoch >= round(optim.epochs * (1 - augment.cooldown))
        strengths = augment.soft() if cooled else augment
        mix = mixer(strengths, classes=classes)
        loader.set_epoch(epoch)  # and through it the sampler's, on every process
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        model.train()
        freezing.apply(epoch)
        bar = tqdm(loader, f"epoch {epoch + 1}/{optim.epochs}", disable=not sys.stderr.isatty())
        running = torch.zeros((), device=device)
        for images in bar:
            # An image's views lie side by side, so that it meets the same ones on any process.
            chosen = images.repeat_interleave(augment.views)
            # All processes draw for the whole batch and keep their share, so that the number of
            # processes changes nothing.
            everyone = world * len(chosen)
            share = slice(rank * len(chosen), (rank + 1) * len(chosen))
            views = draw_views(everyone, strengths, generator=generator)[share]
            donors = None
            if train.outlined is not None:
                views = views.on_lesions(train.outlined.boxes[chosen.cpu()])
                donors = train.outlined.draw_donors(
                    everyone, strengths.backgrounds, generator=generator
                )[share]
            batch = render_views(
                train.photographs(chosen, donors), views, size=size, mean=mean, std=std
            ).contiguous(memory_format=torch.channels_last)
            labels, shares, facts = train.labels[chosen], None, None
            if mix:
                batch, shares = mix(batch, labels)
            if train.facts is not None:
                shown = draw_shown_facts(everyone, encoder.facts_drop, generator=generator)
                facts = train.facts[chosen] * shown[share].to(device)
            instances = torch.arange(len(images), device=device) + rank * len(images)
            instances = instances.repeat_interleave(augment.views)
            truth = Truth(labels, instances, train.lesions[chosen], shares)
            with accelerator.accumulate(model):
                with accelerator.autocast(), QuickDepthwise():
                    output = model(batch, facts=facts)
                    taught = teacher(batch) if teacher is not None else None
                losses = training_loss(
                    output,
                    truth,
                    loss,
                    class_bias=class_bias,
                    class_weight=class_weight,
                    teacher=taught,
                )
                if not torch.isfinite(losses["loss"]):
                    names = ", ".join(train.image_ids[image] for image in images.tolist())
                    raise FloatingPointError(
                        f"The loss is {losses['loss'].item()} at step {progress.step}; try a lower "
                        f"--optim.learning-rate. The batch was {names}."
                    )
                accelerator.backward(losses["loss"])
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), optim.clip_norm)
                optimizer.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                scheduler.step()
                progress.step += 1
                average.update(accelerator.unwrap_model(model), step=progress.step)
            running += losses["loss"].detach()
        progress.epoch = epoch + 1
        progress.seconds += time.monotonic() - started
        started = time.monotonic()
        figures = {
            "train/loss": running.item() / len(loader),
            "train/learning_rate": scheduler.get_last_lr()[-1],
            **validate(),
        }
        accelerator.log(figures, step=progress.step)
        line = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        accelerator.print(f"epoch {epoch + 1:3d}  {progress.seconds:6.0f} s  {line}")
        states.save(accelerator, learning)

    # --- what was learned becomes a folder ----------------------------------------------------
    folder = config.output / "checkpoint"
    if accelerator.is_main_process:
        # A new model: Accelerate's wrapper would go on computing in mixed precision.
        trained = copy_encoder(average.module, outputs=len(CODES)).to(device)
        if config.fits_classifier:
            fit_classifier(trained.eval(), processor, rows)
        else:
            trained.classifier.bias.data -= unearned.to(device)
        engine = DermSim.fit(
            trained, processor, train=rows, validation=held_out, fit_bias=loss.fit_bias
        )
        record = run_record(
            config,
            seconds=progress.seconds,
            hardware=where,
            parameters=parameters,
            origin=origin,
        )
        report = evaluate_checkpoint(
            engine,
            dataset,
            split=config.split,
            name=opened.name,
            corruptions=config.corruptions,
            shift=shift.load() if shift else None,
            shift_name=origin_name(config.shift),
        )
        measured = measured_files(report, training=record, calibration=engine.calibration)
        engine.save_pretrained(folder, training=record, extra=measured)
        accelerator.print(
            f"\n{(folder / 'README.md').read_text(encoding='utf-8')}\nwritten to {folder}"
        )
    # Without letting go of these first, processes that talk through gloo may abort at exit.
    model, optimizer, loader = accelerator.free_memory(model, optimizer, loader)
    gc.collect()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder


def parse(arguments: list[str]) -> TrainConfig:
    """Turn the command line into a configuration: a preset, then what differs from it."""
    chooser = argparse.ArgumentParser(add_help=False)
    chooser.add_argument("--preset", choices=PRESETS, default="release")
    chosen, rest = chooser.parse_known_args(arguments)
    words = f"{__doc__}\n--preset {{{','.join(PRESETS)}}} chooses the defaults below."
    return tyro.cli(TrainConfig, default=PRESETS[chosen.preset], args=rest, description=words)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # no run ends at a letter that a console cannot say
    try:
        main(parse(sys.argv[1:]))
    except (ImportError, OSError, ValueError) as error:  # a sentence for whoever asked
        print(f"{Path(__file__).name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
