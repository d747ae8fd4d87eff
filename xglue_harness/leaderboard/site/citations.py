"""BibTeX of what a reader may want to cite."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """An entry to be copied.

    Attributes:
        note: what it is for.
        text: BibTeX.
    """

    note: str
    text: str


_PAPER = """@inproceedings{ji-etal-2024-machine,
  title = {Can Machine Translation Bridge Multilingual Pretraining and Cross-lingual Transfer Learning?},
  author = {Ji, Shaoxiong and Mickus, Timothee and Segonne, Vincent and Tiedemann, J{\\"o}rg},
  booktitle = {Proceedings of LREC-COLING 2024},
  year = {2024},
  pages = {2809--2818},
  url = {https://aclanthology.org/2024.lrec-main.250},
}"""

_XGLUE = """@inproceedings{liang-etal-2020-xglue,
  title = {{XGLUE}: A New Benchmark Dataset for Cross-lingual Pre-training, Understanding and Generation},
  author = {Liang, Yaobo and Duan, Nan and Gong, Yeyun and Wu, Ning and Guo, Fenfei and Qi, Weizhen and Gong, Ming
            and Shou, Linjun and Jiang, Daxin and Cao, Guihong and Fan, Xiaodong and Zhang, Ruofei and Agrawal, Rahul
            and Cui, Edward and Wei, Sining and Bharti, Taroon and Qiao, Ying and Chen, Jiun-Hung and Wu, Winnie
            and Liu, Shuguang and Yang, Fan and Campos, Daniel and Majumder, Rangan and Zhou, Ming},
  booktitle = {Proceedings of EMNLP 2020},
  year = {2020},
  pages = {6008--6018},
  doi = {10.18653/v1/2020.emnlp-main.484},
}"""


def citations(version: str, repository: str | None, day: str | None) -> tuple[Citation, ...]:
    """The paper, the benchmark, and this leaderboard.

    Args:
        version: of xglue-harness.
        repository: its address; ``None``: not known.
        day: of the newest change of the tree; ``None``: not known.
    """
    lines = [
        "@misc{xglue-harness,",
        "  title = {xglue-harness: the XGLUE leaderboard of zero-shot cross-lingual transfer},",
        "  author = {{The xglue-harness authors}},",
        *([f"  year = {{{day[:4]}}},"] if day else []),
        f"  note = {{Version {version}{f', results as of {day}' if day else ''}}},",
        *([f"  url = {{{repository}}},"] if repository else []),
        "}",
    ]
    return (
        Citation("The numbers of this leaderboard", "\n".join(lines)),
        Citation("The study whose protocol it follows", _PAPER),
        Citation("The benchmark", _XGLUE),
    )
