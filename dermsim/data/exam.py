"""The pictures of the exam: no training may see them, whatever data set carries them.

Two tests measure a released model, and stay unseen until it is:

- ISIC 2018 Task 3 (Codella et al. 2019, https://arxiv.org/abs/1902.03368): ISIC_0034321 to
  ISIC_0036064, where the archive has its 1,512 pictures and none of HAM10000's.
- ISIC 2017 (Codella et al. 2018, https://arxiv.org/abs/1710.05006): 600 pictures, whose numbers are
  no range. All are listed below; ISIC 2019 has 595 of them.

Pictures are known by their ISIC number, so a copy under another name is not: `dermsim duplicates`
finds those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

NAMED = 5
"""Pictures that a refusal names."""

_ISIC_2018 = range(34_321, 36_064 + 1)

# Read by number wherever it stands: sources add endings, folders, "_downsampled" or "_mask".
_NUMBER = re.compile(r"isic[\W_]*0*([1-9][0-9]*)(?![0-9])", re.IGNORECASE)


def exam_of(image_id: str | None) -> str | None:
    """Say which exam a picture belongs to.

    Args:
        image_id: As a source writes it: ``"ISIC_0012086"``, with any ending, folder or case.

    Returns:
        ``"ISIC 2018 Task 3 test"``, ``"ISIC 2017 test"``, or None for every other picture.
    """
    for number in map(int, _NUMBER.findall(image_id or "")):
        if number in _ISIC_2018:
            return "ISIC 2018 Task 3 test"
        if number in _ISIC_2017:
            return "ISIC 2017 test"
    return None


def refuse_exam(image_ids: Iterable[str | None], *, source: str = "the data") -> None:
    """Refuse to learn from pictures of the exam; called before anything is fitted.

    Args:
        image_ids: Of all that weights, thresholds, galleries or classes would be fitted to.
        source: Where they come from, for the sentence.

    Raises:
        ValueError: If one or more belong to an exam; the message counts them and names some.
    """
    found = [(name, exam) for name in image_ids if (exam := exam_of(name)) is not None]
    if not found:
        return
    exams = " and the ".join(sorted({exam for _, exam in found}))
    names = ", ".join(str(name) for name, _ in found[:NAMED])
    more = ", ..." if len(found) > NAMED else ""
    raise ValueError(
        f"{len(found):,} of the pictures of {source} belong to the {exams} ({names}{more}), which "
        "measure a model and must never train one: leave them out "
        "(dermsim.data.exam.without_exam does)"
    )


def without_exam(rows: Dataset) -> Dataset:
    """Leave the pictures of the exam out.

    Args:
        rows: With ``image_id``.

    Returns:
        The other rows, in their order.

    Raises:
        ValueError: If nothing is left.
    """
    kept = [row for row, image_id in enumerate(rows["image_id"]) if exam_of(image_id) is None]
    if len(rows) and not kept:
        raise ValueError("all pictures belong to the exam: nothing is left to learn from")
    return rows if len(kept) == len(rows) else rows.select(kept)


def _numbers(text: str) -> Iterator[int]:
    return map(int, text.split())


_ISIC_2017 = frozenset(
    _numbers("""
    12086 12092 12095 12134 12136 12147 12149 12152 12178 12199 12207 12215 12216 12223 12240
    12248 12258 12265 12266 12272 12273 12314 12323 12330 12356 12357 12358 12364 12369 12372
    12375 12387 12388 12395 12414 12425 12428 12432 12447 12448 12484 12493 12510 12522 12537
    12548 12551 12654 12656 12705 12708 12722 12757 12758 12786 12803 12836 12837 12848 12852
    12903 12904 12928 12941 12955 12967 12974 12989 13030 13035 13045 13070 13072 13073 13085
    13109 13159 13164 13169 13170 13176 13191 13203 13216 13226 13230 13242 13269 13270 13271
    13277 13281 13291 13319 13321 13325 13374 13393 13399 13411 13414 13416 13455 13457 13459
    13465 13472 13473 13511 13512 13529 13565 13577 13588 13600 13602 13615 13617 13636 13673
    13678 13696 13708 13733 13738 13739 13764 13766 13767 13794 13809 13813 13814 13833 13842
    13867 13891 13897 13908 13911 13917 13925 13948 13953 13966 13977 13987 13988 13998 14006
    14027 14059 14077 14090 14103 14110 14117 14129 14148 14160 14177 14181 14186 14219 14221
    14233 14251 14255 14270 14278 14284 14288 14319 14336 14349 14369 14386 14392 14409 14419
    14423 14434 14454 14457 14470 14474 14478 14489 14500 14503 14506 14513 14541 14542 14546
    14548 14559 14567 14574 14575 14586 14587 14588 14590 14600 14619 14626 14627 14629 14631
    14634 14643 14644 14645 14647 14648 14649 14652 14653 14663 14666 14675 14677 14687 14693
    14695 14697 14698 14703 14720 14725 14727 14728 14729 14740 14743 14746 14749 14753 14755
    14765 14766 14768 14772 14773 14780 14784 14786 14787 14790 14792 14796 14798 14800 14807
    14814 14815 14820 14822 14826 14833 14835 14844 14853 14854 14862 14863 14867 14868 14872
    14876 14879 14883 14901 14907 14910 14912 14921 14927 14928 14932 14936 14938 14940 14941
    14942 14943 14944 14947 14948 14949 14952 14955 14956 14957 14958 14959 14961 14962 14963
    14964 14966 14968 14969 14973 14974 14977 14982 14992 14994 14998 15002 15003 15004 15007
    15008 15009 15011 15013 15015 15016 15018 15019 15020 15021 15023 15026 15030 15031 15034
    15035 15037 15040 15041 15046 15050 15051 15056 15057 15060 15064 15071 15078 15089 15102
    15115 15118 15119 15125 15127 15129 15130 15132 15133 15136 15139 15140 15142 15146 15149
    15150 15152 15155 15156 15157 15160 15161 15163 15167 15171 15173 15174 15175 15176 15179
    15180 15184 15185 15193 15201 15202 15203 15206 15207 15208 15212 15215 15216 15217 15218
    15223 15224 15226 15229 15232 15237 15241 15244 15245 15250 15251 15254 15255 15258 15264
    15270 15273 15274 15276 15279 15283 15291 15293 15298 15309 15310 15311 15312 15330 15331
    15347 15353 15355 15357 15360 15363 15364 15368 15369 15383 15386 15390 15395 15403 15404
    15411 15412 15416 15417 15418 15419 15436 15440 15447 15455 15464 15466 15468 15476 15481
    15482 15485 15510 15526 15537 15544 15559 15563 15566 15568 15582 15593 15603 15607 15614
    15617 15625 15631 15636 15638 15641 15645 15936 15937 15938 15939 15940 15941 15942 15943
    15944 15945 15946 15947 15948 15949 15950 15951 15952 15953 15954 15955 15956 15957 15958
    15959 15960 15961 15962 15963 15964 15965 15966 15967 15968 15969 15971 15972 15973 15974
    15975 15976 15978 15979 15980 15981 15982 15983 15984 15985 15986 15987 15988 15989 15990
    15991 15992 15993 15994 15995 15996 15997 15998 15999 16000 16001 16002 16003 16004 16005
    16006 16007 16008 16009 16011 16012 16013 16014 16015 16016 16017 16018 16019 16022 16023
    16024 16025 16026 16027 16028 16029 16030 16031 16033 16034 16035 16036 16037 16038 16040
    16041 16042 16043 16044 16045 16046 16048 16049 16050 16051 16052 16053 16054 16055 16056
    16057 16058 16059 16060 16061 16062 16063 16064 16065 16066 16068 16069 16070 16071 16072
    """)
)
