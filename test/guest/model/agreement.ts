/** What has to be so after every step: the model against the system, and three witnesses that know nothing of framevec. */
import assert from 'node:assert/strict';
import * as uapi from '../../../lib/uapi.js';
import {PAGE} from '../raw.js';
import type {Seen, System} from './system.js';
import type {Held, Holding, World} from './world.js';

/** How often the interesting things have come about: a test that never meets them finds nothing. */
export const tally = new Map<string, number>();

export function happened(what: string): void {
  tally.set(what, (tally.get(what) ?? 0) + 1);
}

export function agree(world: World, system: System): void {
  const seen = system.seen();
  for (const [i, vector] of world.vectors.entries()) {
    const {fields} = system.ioctl(i, 'STAT');
    const {holds} = vector;
    assert.deepEqual(
      {kind: fields.kind, state: fields.state, capacity: fields.capacity, frames: fields.frames, offset: fields.offset, length: fields.length},
      {
        kind: holds?.kind ?? uapi.FRAMEVEC_KIND_NONE,
        state: stateOf(holds),
        capacity: vector.capacity,
        frames: holds?.frames.length ?? 0,
        offset: holds?.offset ?? 0,
        length: holds?.length ?? 0,
      },
      `STAT of vector ${i}`,
    );
    frames(system, i, holds, seen, world);
    contents(system, i, holds, world);
  }
  const pinned = world.pinned();
  assert.deepEqual(system.accounts(), {system: pinned.filter(({counted}) => counted).length, charged: pinned.length}, 'nr_foll_pin_* and VmPin');
}

/**
 * READ_PFNS and EXTENTS of the whole vector say which frames were pinned, and pagemap says the same where they are still mapped. Before
 * anything is read through the vector: a wrong number could be that of no memory at all.
 */
function frames(system: System, index: number, holds: Holding | undefined, seen: Seen, world: World): void {
  const held = holds?.frames ?? [];
  const told = system.pfns(index, 0, Math.max(1, held.length));
  const door = atTheDoor(holds);
  if (door !== undefined) {
    assert.equal(told, door, `READ_PFNS of vector ${index}`);
    return;
  }
  assert.ok(Array.isArray(told), `READ_PFNS of vector ${index}: ${String(told)}`);
  for (const [j, {at, pfn}] of held.entries()) {
    if (told[j] !== pfn) assert.equal(told[j], pfn, `frame ${j} of vector ${index} is the one that was pinned`);
    if (at === undefined || seen[at] === pfn) continue;
    // A page of a file can be unmapped, by reclaim, while it is pinned; what comes back is the same page.
    const away = seen[at] === undefined && world.pages[at]?.source === 'shared';
    if (!away) assert.equal(seen[at], pfn, `frame ${j} of vector ${index} is at page ${at}, as pagemap says`);
  }
  const runs = runsOf(told);
  const extents = extentsOf(system, index, 0, held.length).runs;
  const same = extents.length === runs.length && extents.every(([pfn, n], j) => runs[j]?.[0] === pfn && runs[j]?.[1] === n);
  if (!same) assert.deepEqual(extents, runs, `EXTENTS of vector ${index}`);
}

/** read() of the whole range returns what the process has written to these frames, and nothing else. */
function contents(system: System, index: number, holds: Holding | undefined, world: World): void {
  const length = holds?.length ?? 1;
  const bytes = system.contents(index, length);
  const door = atTheDoor(holds);
  if (door !== undefined || holds === undefined) {
    assert.equal(bytes, door, `read() of vector ${index}`);
    return;
  }
  assert.ok(typeof bytes === 'object', `read() of vector ${index}: ${String(bytes)}`);
  for (const {held, at, from, n} of pieces(holds, 0, length)) {
    const content = world.contents.get(held.key)?.subarray(at, at + n);
    if (content === undefined || Buffer.compare(content, bytes.subarray(from, from + n)) === 0) continue;
    assert.deepEqual(bytes.subarray(from, from + n), content, `read() of vector ${index} at ${from}: frame ${held.pfn}`);
  }
}

/** How often frames are mapped, and where in the arena they are. */
export interface Census {
  seen: Float64Array;
  pfns: Float64Array;
  counts: Float64Array;
}

/** Of all frames that a call on a vector could involve: those of the arena, those that are held, and device frames. */
export function census(world: World, system: System): Census {
  const seen = system.frames();
  const pfns = new Set(seen);
  for (const {frames} of world.holdings()) for (const {pfn} of frames) pfns.add(Number(pfn));
  for (const pfn of world.devices.values()) pfns.add(Number(pfn));
  pfns.delete(0);
  const sorted = Float64Array.from(pfns).sort();
  return {seen, pfns: sorted, counts: system.counts(sorted)};
}

/**
 * A pin is no mapping: no call on a vector changes how often a frame is mapped, as /proc/kpagecount says, unless it has a page copied
 * or faulted in; then pagemap shows another frame there. A frame that is neither mapped nor held any more is anybody's.
 */
export function sameCounts(before: Census, world: World, system: System): void {
  const after = census(world, system);
  const moved = new Set<number>();
  for (let i = 0; i < after.seen.length; i++) {
    if (after.seen[i] !== before.seen[i]) moved.add(after.seen[i] ?? 0).add(before.seen[i] ?? 0);
  }
  for (let i = 0, j = 0; i < before.pfns.length; i++) {
    const pfn = before.pfns[i] ?? 0;
    while ((after.pfns[j] ?? Infinity) < pfn) j++;
    if (after.pfns[j] !== pfn || moved.has(pfn)) continue;
    if (after.counts[j] !== before.counts[i]) assert.equal(after.counts[j], before.counts[i], `frame ${pfn} is mapped as often as before, as kpagecount says`);
  }
}

function stateOf(holds: Holding | undefined): number {
  if (holds === undefined) return 0;
  return (holds.write ? uapi.FRAMEVEC_STATE_WRITE : 0) | (holds.gotRef ? uapi.FRAMEVEC_STATE_GOT_REF : 0) | (holds.stale ? uapi.FRAMEVEC_STATE_STALE : 0);
}

/** What a use of the frames says before anything else. */
export function atTheDoor(holds: Holding | undefined): 'ENODATA' | 'ESTALE' | undefined {
  if (holds === undefined) return 'ENODATA';
  return holds.stale ? 'ESTALE' : undefined;
}

type Run = [bigint | undefined, number | undefined];

/** Maximal runs of numbers that follow each other. */
export function runsOf(pfns: readonly bigint[]): Run[] {
  const runs: [bigint, number][] = [];
  for (const pfn of pfns) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + BigInt(last[1]) === pfn) last[1] += 1;
    else runs.push([pfn, 1]);
  }
  return runs;
}

export function extentsOf(system: System, index: number, first: number, capacity: number): {result: string | number; runs: Run[]; next: number | undefined} {
  const pfns = new BigUint64Array(capacity);
  const counts = new Uint32Array(capacity);
  const {result, fields} = system.ioctl(index, 'EXTENTS', {first, capacity, pfns, counts});
  return {result, runs: Array.from({length: result === 0 ? (fields.extents ?? 0) : 0}, (_, i) => [pfns[i], counts[i]]), next: fields.next};
}

/** Where bytes [position, position + length) of a range lie: frame, position in it, and position in the bytes. */
export function* pieces(holds: Holding, position: number, length: number): Generator<{held: Held; at: number; from: number; n: number}> {
  for (let done = 0; done < length;) {
    const place = holds.offset + position + done;
    const held = holds.frames[Math.floor(place / PAGE)];
    if (held === undefined) throw new Error('beyond the last frame');
    const n = Math.min(length - done, PAGE - (place % PAGE));
    yield {held, at: place % PAGE, from: done, n};
    done += n;
  }
}
