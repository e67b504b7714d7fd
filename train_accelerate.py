"""Train a DermSim encoder, from photographs to a checkpoint folder. Read from top to bottom.

    accelerate launch train_accelerate.py --data <source>            # the released recipe
    accelerate launch train_accelerate.py --preset smoke             # a minute on a CPU

The same script runs on a CPU, one GPU, several GPUs and several hosts; `accelerate config` says
which, nothing below does. `--help` lists every choice, `--resume` goes on after an interruption.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import get_cosine_schedule_with_warmup

from dermsim._optional import require
from dermsim.config import PRESETS, TrainConfig, command_line, flatten
from dermsim.data.augment import draw_views, render_views
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.pixels import channel_statistics, decode_pixels
from dermsim.data.sampler import BalancedSampler
from dermsim.data.splits import grouped_splits
from dermsim.engine import DermSim, evaluate_checkpoint
from dermsim.labels import CODES
from dermsim.metrics import balanced_accuracy
from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.image_processing_dermsim import DermSimImageProcessor
from dermsim.models.losses import training_loss
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.states import Progress, StateFolder

VIEWS = 2  # of every image in a batch, side by side in one forward pass


def main(config: TrainConfig) -> Path:
    """Train, calibrate, index, evaluate and write the checkpoint folder.

    Args:
        config: Every choice of the run.

    Returns:
        The folder that `DermSim.from_pretrained` opens.

    Raises:
        FileExistsError: If the output holds another run and `resume` is not set.
        FileNotFoundError: If `resume` is set and there is nothing to resume.
        ImportError: If a tracker is not installed.
        FloatingPointError: If the loss stops being a number.
    """
    started = time.monotonic()
    encoder, optim, loss_config = config.encoder, config.optim, config.loss

    # --- where it runs ------------------------------------------------------------------------
    for tracker in config.trackers:  # Accelerate would only warn, and the curves be lost
        require(tracker, extra=tracker)
    one_head_idle = 0 in (loss_config.contrastive_weight, loss_config.cross_entropy_weight)
    accelerator = Accelerator(
        cpu=config.cpu,
        mixed_precision=optim.mixed_precision,
        gradient_accumulation_steps=optim.gradient_accumulation,
        log_with=list(config.trackers) or None,
        project_dir=config.output,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=one_head_idle)],
    )
    device, world = accelerator.device, accelerator.num_processes
    rank = accelerator.process_index
    states = StateFolder(config.output / "state")
    if accelerator.is_main_process:
        states.prepare(resume=config.resume)
    accelerator.wait_for_everyone()
    set_seed(config.seed)  # the weights; order and augmentation have generators of their own
    torch.backends.cudnn.benchmark = True  # every batch has the same shape

    # --- photographs: decoded once, kept as bytes where they are augmented --------------------
    dataset = load_ham10000(config.data)
    splits = grouped_splits(dataset)
    train, validation = splits["train"], splits["validation"]
    decoded = decode_pixels(train)
    mean, std = channel_statistics(decoded)
    pixels = torch.from_numpy(decoded).to(device)
    labels = torch.tensor(train["dx"], device=device)
    sampler = BalancedSampler(train["dx"], balance=optim.balance, seed=config.seed)
    # What the loader yields are indices: an epoch's worth of them weighs 60 kB.
    loader = DataLoader(range(len(train)), optim.batch_size, sampler=sampler, drop_last=True)

    # --- validation goes through the processor that ships with the weights --------------------
    size, side = encoder.image_size, encoder.test_image_size
    processor = DermSimImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=list(mean),
        image_std=list(std),
    )
    validation_pixels = torch.cat(
        [processor(image, return_tensors="pt").pixel_values for image in validation["image"]]
    )
    validation_labels = np.array(validation["dx"])
    classes = len(CODES)
    validation_loader = DataLoader(range(len(validation)), 4 * optim.batch_size)

    # --- the encoder and what moves it --------------------------------------------------------
    model = DermSimModel(
        DermSimConfig(
            backbone=encoder.backbone,
            embed_dim=encoder.embed_dim,
            drop_rate=encoder.drop_rate,
            image_size=size,
        ),
        pretrained_backbone=encoder.pretrained,
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        param_groups_weight_decay(model, optim.weight_decay), lr=optim.learning_rate
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
    accelerator.register_for_checkpointing(scheduler, average, progress)
    prior = log_prior(sampler, train["dx"])
    class_bias = prior.to(device) * loss_config.logit_adjustment

    if config.resume:
        accelerator.load_state(str(states.latest()))
    accelerator.init_trackers("dermsim", config=flatten(config))
    accelerator.print(
        f"{encoder.backbone}: {sum(p.numel() for p in average.parameters()) / 1e6:.1f} M "
        f"parameters; {len(train)} training and {len(validation)} validation images; "
        f"{updates} updates on {world} x {device.type}"
    )

    def validate() -> float:
        """Balanced accuracy (argmax) of the averaged weights on validation."""
        average.module.eval()
        predictions = []
        for rows in validation_loader:
            with torch.inference_mode(), accelerator.autocast():
                logits = average.module(validation_pixels[rows.cpu()].to(device)).logits
            predictions.append(accelerator.gather_for_metrics(logits.argmax(dim=1)))
        return balanced_accuracy(validation_labels, torch.cat(predictions).cpu().numpy(), classes)

    # --- training -----------------------------------------------------------------------------
    if progress.step == 0:  # at once, so that what is broken there breaks now
        before = validate()
        accelerator.log({"validation/balanced_accuracy": before}, step=0)
        accelerator.print(f"before training: validation/balanced_accuracy {before:.4g}")
    for epoch in range(progress.epoch, optim.epochs):
        # At the end the weights settle on photographs as they are (as FixRes and YOLOX do).
        cooled = epoch >= round(optim.epochs * (1 - config.augment.cooldown))
        augment = config.augment.soft() if cooled else config.augment
        loader.set_epoch(epoch)  # and through it the sampler's, on every process
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        model.train()
        bar = tqdm(loader, f"epoch {epoch + 1}/{optim.epochs}", disable=not sys.stderr.isatty())
        running = torch.zeros((), device=device)
        for rows in bar:
            # All processes draw the views of the whole batch and keep their share, so that the
            # number of processes changes nothing.
            count = VIEWS * len(rows)
            views = draw_views(count * world, augment, generator=generator)
            views = views[rank * count : (rank + 1) * count]
            batch = render_views(
                pixels[rows].repeat(VIEWS, 1, 1, 1), views, size=size, mean=mean, std=std
            ).contiguous(memory_format=torch.channels_last)
            instances = torch.arange(len(rows), device=device) + rank * len(rows)
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    output = model(batch)
                losses = training_loss(
                    output,
                    labels[rows].repeat(VIEWS),
                    instances.repeat(VIEWS),
                    loss_config,
                    class_bias=class_bias,
                )
                if not torch.isfinite(losses["loss"]):
                    raise FloatingPointError(
                        f"The loss is {losses['loss'].item()} at step {progress.step}; a lower "
                        "--optim.learning-rate or --optim.mixed-precision no may help."
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
            "train/learning_rate": scheduler.get_last_lr()[0],
            "validation/balanced_accuracy": validate(),
        }
        accelerator.log(figures, step=progress.step)
        accelerator.print(
            f"epoch {epoch + 1:3d}  {progress.seconds:6.0f} s  "
            + "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        )
        states.save(accelerator, epoch=epoch + 1)

    # --- what was learned becomes a folder ----------------------------------------------------
    folder = config.output / "checkpoint"
    if accelerator.is_main_process:
        # A new model: Accelerate's wrapper would go on computing in mixed precision.
        trained = DermSimModel(average.module.config)
        trained.load_state_dict(average.module.state_dict())
        # What was drawn more often is also expected more often: the drawn share is no evidence.
        trained.classifier.bias.data -= loss_config.prior_correction * prior
        engine = DermSim.fit(trained, processor, train=train, validation=validation)
        name = "synthetic" if config.data == "synthetic" else "HAM10000"
        record = {
            "command": command_line(config),
            "minutes": round(progress.seconds / 60),
            "hardware": f"{world} x {device.type}",
            "parameters": sum(p.numel() for p in trained.parameters()),
        }
        report = evaluate_checkpoint(engine, dataset, name=name)
        engine.save_pretrained(folder, report=report, training=record)
        accelerator.print(f"\n{(folder / 'README.md').read_text()}\nwritten to {folder}")
    # Without letting go of these first, processes that talk through gloo may abort at exit.
    model, optimizer, loader = accelerator.free_memory(model, optimizer, loader)
    gc.collect()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder


def log_prior(sampler: BalancedSampler, labels: list[int]) -> torch.Tensor:
    """Log share of each diagnosis among the drawn images, ``(7,)``; absent ones count as one."""
    shares = torch.bincount(torch.tensor(labels), weights=sampler.expected, minlength=7)
    return (shares.clamp(min=1) / shares.sum()).log().float()


def parse(arguments: list[str]) -> TrainConfig:
    """Turn the command line into a configuration: a preset, then what differs from it."""
    chooser = argparse.ArgumentParser(add_help=False)
    chooser.add_argument("--preset", choices=PRESETS, default="release")
    chosen, rest = chooser.parse_known_args(arguments)
    return tyro.cli(
        TrainConfig,
        default=PRESETS[chosen.preset],
        args=rest,
        description=f"{__doc__}\n--preset {{{','.join(PRESETS)}}} chooses the defaults below.",
    )


if __name__ == "__main__":
    main(parse(sys.argv[1:]))
