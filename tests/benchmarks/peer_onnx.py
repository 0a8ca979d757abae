"""sentence-transformers with its ONNX int8 backend, in an environment of its own (optimum wants an older transformers).

    python peer_onnx.py MODEL TEXTS.json VECTORS.npy    each line on stdin is a number of texts to encode; answers seconds

The model is exported and quantized as its documentation says, for this processor's avx512_vnni.
"""

import json
import sys
import tempfile
import time
from importlib.metadata import version

import numpy as np


def main() -> None:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    model, texts, vectors = sys.argv[1:]
    with open(texts, encoding="utf-8") as file:
        texts = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        plain = SentenceTransformer(model, device="cpu", backend="onnx")
        plain.save_pretrained(folder)
        export_dynamic_quantized_onnx_model(plain, "avx512_vnni", folder)
        file_name = "onnx/model_qint8_avx512_vnni.onnx"
        peer = SentenceTransformer(folder, device="cpu", backend="onnx", model_kwargs={"file_name": file_name})
    answer({name: version(name) for name in ("sentence-transformers", "optimum-onnx", "onnxruntime", "transformers")})
    for line in sys.stdin:
        start = time.perf_counter()
        found = peer.encode(texts[: int(line)], normalize_embeddings=True)
        took = time.perf_counter() - start
        np.save(vectors, found)
        answer(took)


def answer(found: object) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
