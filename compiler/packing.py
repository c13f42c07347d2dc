"""Where buffers lie in one block of memory.

Plain functions of Python without imports: targets copy their source (`PACKING`) into what they emit, so that there is
one packing, and sizes may be known as late as at the first call. A row is (first use, last use, bytes).
"""


def pack(rows: tuple | list, align: int = 64, effort: int = 100_000) -> tuple[list[int], int]:
    """The offset of each buffer, a multiple of ``align``, and the bytes that hold them all.

    The best of several greedy ways, where each buffer takes the tightest gap between those that live at the same time:
    in the order of time, then with the most entangled, the longest or the largest first, then with what found no room
    first. It ends when nothing could be better. All but the first compare buffers in pairs; they are left out where
    more than ``effort`` pairs live at the same time, so that time grows as n log n.
    """
    size = [-(-row[2] // align) * align for row in rows]
    order = sorted(range(len(rows)), key=lambda one: (rows[one][0], -size[one], one))
    rounded = [(row[0], row[1], total) for row, total in zip(rows, size, strict=True)]
    offsets, total = packed_in_time(rounded, order)
    bound = largest_live(rounded)
    if total == bound:
        return offsets, total
    meets = meetings(rounded, order, effort)
    if meets is None:
        return offsets, total
    span = [row[1] - row[0] + 1 for row in rows]
    for rank in (
        [(-len(meets[one]), -size[one]) for one in range(len(rows))],
        [(-span[one], -size[one]) for one in range(len(rows))],
        [(-size[one] * span[one], -size[one]) for one in range(len(rows))],
        [(-size[one], -span[one]) for one in range(len(rows))],
    ):
        order = sorted(order, key=rank.__getitem__)
        found, top = packed_in_order(size, meets, order)
        if top < total:
            offsets, total = found, top
        if total == bound:
            return offsets, total
    for _ in range(min(24, effort // (1 + sum(map(len, meets))))):
        # What lies highest found no room below: it goes first from now on.
        high = {one for one in order if found[one] + size[one] == top}
        order = [*(one for one in order if one in high), *(one for one in order if one not in high)]
        found, top = packed_in_order(size, meets, order)
        if top < total:
            offsets, total = found, top
        if total == bound:
            break
    return offsets, total


def largest_live(rows: tuple | list) -> int:
    """The most bytes that live at one time: no packing needs less."""
    changes: dict = {}
    for first, last, size in rows:
        changes[first] = changes.get(first, 0) + size
        changes[last + 1] = changes.get(last + 1, 0) - size
    live = highest = 0
    for position in sorted(changes):
        live += changes[position]
        highest = max(highest, live)
    return highest


def packed_in_time(rows: list, order: list) -> tuple[list[int], int]:
    """Offsets in the order of first uses, as an allocator would give them that merges what is freed."""
    ends = sorted(order, key=lambda one: rows[one][1])
    offsets, total, ended = [0] * len(rows), 0, 0
    gaps: list = []
    for one in order:
        first, _, size = rows[one]
        while rows[ends[ended]][1] < first:
            give_back(gaps, offsets[ends[ended]], offsets[ends[ended]] + rows[ends[ended]][2])
            ended += 1
        best = -1
        for at, (low, high) in enumerate(gaps):
            if high - low >= size and (best < 0 or high - low < gaps[best][1] - gaps[best][0]):
                best = at
                if high - low == size or at > 64:
                    break
        if best < 0 and gaps and gaps[-1][1] == total:
            best = len(gaps) - 1
        low, high = gaps.pop(best) if best >= 0 else (total, total)
        if high > low + size:
            gaps.insert(best, (low + size, high))
        offsets[one] = low
        total = max(total, low + size)
    return offsets, total


def give_back(gaps: list, low: int, high: int) -> None:
    """Put a free stretch of memory among the others, which are in order, and merge it with its neighbours."""
    at, after = 0, len(gaps)
    while at < after:
        middle = (at + after) // 2
        if gaps[middle][0] < low:
            at = middle + 1
        else:
            after = middle
    if at < len(gaps) and gaps[at][0] == high:
        high = gaps.pop(at)[1]
    if at and gaps[at - 1][1] == low:
        at, low = at - 1, gaps.pop(at - 1)[0]
    if high > low:
        gaps.insert(at, (low, high))


def meetings(rows: list, order: list, most: int) -> list | None:
    """For each buffer those that live at the same time; None if they are more than ``most`` pairs."""
    meets: list = [[] for _ in rows]
    lives: list = []
    for one in order:
        lives = [other for other in lives if rows[other][1] >= rows[one][0]]
        most -= len(lives)
        if most < 0:
            return None
        for other in lives:
            meets[one].append(other)
            meets[other].append(one)
        lives.append(one)
    return meets


def packed_in_order(size: list, meets: list, order: list) -> tuple[list[int], int]:
    """Offsets in any order: each buffer in the tightest gap between those placed before that it meets."""
    offsets, placed, total = [0] * len(size), [False] * len(size), 0
    for one in order:
        at, tightest, end = -1, 0, 0
        for low, high in sorted(
            (offsets[other], offsets[other] + size[other]) for other in meets[one] if placed[other]
        ):
            if low - end >= size[one] and (at < 0 or low - end < tightest):
                at, tightest = end, low - end
            end = max(end, high)
        offsets[one], placed[one] = (end if at < 0 else at), True
        total = max(total, offsets[one] + size[one])
    return offsets, total


PACKING = (pack, largest_live, packed_in_time, give_back, meetings, packed_in_order)
"""All of it, for targets that emit its source."""
