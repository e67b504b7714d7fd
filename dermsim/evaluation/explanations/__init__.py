"""Whether explanations lie on the lesion, and whether the model cares about what they show.

- `baselines`: maps that know nothing of the model, which any explanation has to beat.
- `localization`: how well a map agrees with a dermatologist's outline.
- `removal`: what becomes of the answer when what a map marks is taken away.
- `agreement`: how alike maps are, of several methods and of a turned photograph.
- `shortcuts`: how much of an answer rests on what surrounds the lesion.
- `subject`: a checkpoint as functions of arrays, which all of these need.
- `examination`: all of it on a held-out split, as an `ExplanationReport`.

Everything happens in the square that the encoder sees: images are ``(N, 3, S, S)`` float32 as the
encoder takes them, maps and outlines ``(N, S, S)``.
"""
