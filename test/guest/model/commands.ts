/** What can be done, each step to the model and to the real thing, and what is held against what after it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as uapi from '../../../lib/uapi.js';
import {since} from '../oracles.js';
import {MADV, PAGE, PROT, SYS, errnoName, raw} from '../raw.js';
import type {System} from './system.js';
import {ARENA, FILE, type Held, type Holding, type Mapped, type Vector, type World, apertureKey} from './world.js';

export type ModelCommand = fc.Command<World, System>;

const {READ, WRITE} = PROT;
const RW = READ | WRITE;
/** Until 5.19 a write to a page that was write-protected and has a pin is a copy; test/guest/cow.test.ts has the cases. */
const COPIES_PROTECTED = !since([5, 19]);
/** From 6.2 on a longterm pin for read makes private memory the process's own first. */
const UNSHARES = since([6, 2]);

/** From 6.5 on, and on 6.1 of late, a pin of the page of zeros takes no reference. */
const PINS_NO_ZERO_PAGE = since([6, 1]);

interface Step {
  can?: (world: World) => boolean;
  run: (world: World, system: System) => void;
}

/** A step, and after it the whole of the world against the system. */
function command(words: string, {can, run}: Step): ModelCommand {
  return {
    check: world => can?.(world) ?? true,
    run(world, system) {
      const watching = world.holdings().filter(({gotRef, stale}) => !gotRef && !stale);
      run(world, system);
      for (const {stale} of watching) if (stale) happened(`stale by ${words.slice(0, words.indexOf('('))}`);
      agree(world, system);
    },
    toString: () => words,
  };
}

/** How often the interesting things have come about: a test that never meets them finds nothing. */
export const tally = new Map<string, number>();

function happened(what: string): void {
  tally.set(what, (tally.get(what) ?? 0) + 1);
}

/** What must be so at any time. */
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
    for (const [j, {at, pfn}] of (holds?.frames ?? []).entries()) {
      // A page of a file can be unmapped, by reclaim, while it is pinned; what comes back is the same page.
      const away = at !== undefined && seen[at] === undefined && world.pages[at]?.source === 'shared';
      if (at !== undefined && !away) assert.equal(seen[at], pfn, `frame ${j} of vector ${i} is at page ${at}, as pagemap says`);
    }
  }
  const pinned = world.pinned();
  assert.deepEqual(system.accounts(), {system: pinned.filter(({counted}) => counted).length, charged: pinned.length}, 'nr_foll_pin_* and VmPin');
}

function stateOf(holds: Holding | undefined): number {
  if (holds === undefined) return 0;
  return (holds.write ? uapi.FRAMEVEC_STATE_WRITE : 0) | (holds.gotRef ? uapi.FRAMEVEC_STATE_GOT_REF : 0) | (holds.stale ? uapi.FRAMEVEC_STATE_STALE : 0);
}

/** What a use of the frames says before anything else. */
function atTheDoor(holds: Holding | undefined): 'ENODATA' | 'ESTALE' | undefined {
  if (holds === undefined) return 'ENODATA';
  return holds.stale ? 'ESTALE' : undefined;
}

function vectorOf(world: World, which: number): [number, Vector] {
  const index = which % world.vectors.length;
  return [index, world.vectors[index] ?? {capacity: 0, holds: undefined, keepers: new Set()}];
}

const anyVector = (world: World): boolean => world.vectors.length > 0;
const isMapped = (page: Mapped): boolean => page.prot >= 0;

// --- memory -------------------------------------------------------------------------------------

/** Places close together meet; some lie at the edge of a huge page. */
const place = fc.oneof({weight: 6, arbitrary: fc.integer({min: 0, max: 15})}, {weight: 1, arbitrary: fc.integer({min: 505, max: 516})});
const extent = fc.oneof({weight: 4, arbitrary: fc.integer({min: 1, max: 8})}, {weight: 1, arbitrary: fc.integer({min: 1, max: 24})});
const protection = fc.oneof({weight: 4, arbitrary: fc.constant(RW)}, {weight: 2, arbitrary: fc.constant(READ)}, {weight: 1, arbitrary: fc.constant(PROT.NONE)});

const map = fc.record({
  first: place, count: extent, prot: protection,
  source: fc.constantFrom('anonymous' as const, 'anonymous' as const, 'shared' as const, 'private' as const, 'aperture' as const, 'aperture' as const),
  offset: fc.integer({min: 0, max: FILE + 2}),
}).map(({first, count, prot, source, offset}) => command(`map(${first}, ${count}, ${source}, ${prot}, ${offset})`, {
  run(world, system) {
    system.map(first, count, source, prot, offset);
    world.map(first, count, i => ({source, prot, offset: source === 'anonymous' ? 0 : offset + i, reprotected: false}));
  },
}));

/** Much at once, for a huge page. */
const mapHuge = fc.constant(command('map(400, 700, anonymous, 3), huge', {
  run(world, system) {
    system.map(400, 700, 'anonymous', RW, 0);
    system.advise(400, 700, MADV.HUGEPAGE);
    world.map(400, 700, () => ({source: 'anonymous', prot: RW, offset: 0, reprotected: false}));
  },
}));

const unmap = fc.record({first: place, count: extent}).map(({first, count}) => command(`unmap(${first}, ${count})`, {
  run(world, system) {
    system.unmap(first, count);
    world.map(first, count);
  },
}));

const protect = fc.record({first: place, count: extent, prot: fc.constantFrom(RW, READ, PROT.NONE)}).map(({first, count, prot}) => command(`protect(${first}, ${count}, ${prot})`, {
  can: world => world.run(first, count, isMapped) > 0,
  run(world, system) {
    const n = world.run(first, count, isMapped);
    system.protect(first, n, prot);
    world.protect(first, n, prot);
  },
}));

const move = fc.record({from: place, to: fc.integer({min: 0, max: 40}), count: extent}).map(({from, to, count}) => command(`move(${from}, ${to}, ${count})`, {
  can: world => world.run(from, count, isMapped) > 0 && Math.abs(from - to) >= count,
  run(world, system) {
    const n = Math.min(world.run(from, count, isMapped), system.toEndOfMapping(from));
    system.move(from, to, n);
    world.move(from, to, n);
  },
}));

const advise = fc.record({
  first: place, count: extent,
  advice: fc.constantFrom('DONTNEED' as const, 'PAGEOUT' as const, 'HUGEPAGE' as const, 'NOHUGEPAGE' as const, 'COLLAPSE' as const),
}).map(({first, count, advice}) => command(`advise(${first}, ${count}, ${advice})`, {
  can: world => world.pages[first] !== undefined,
  run(world, system) {
    const device = world.pages[first]?.source === 'aperture';
    const n = world.run(first, count, page => (page.source === 'aperture') === device);
    const result = system.advise(first, n, MADV[advice]);
    if (advice !== 'DONTNEED') return;
    assert.equal(errnoName(result), device ? 'EINVAL' : 0);
    for (let i = first; i < first + n; i++) if (world.pages[i]?.source !== 'shared') world.forget(i, 1);
  },
}));

const touch = fc.record({page: place, at: fc.integer({min: 0, max: PAGE - 1}), length: fc.integer({min: 1, max: 300}), byte: fc.integer({min: 1, max: 255})})
  .map(({page, at, length, byte}) => command(`touch(${page}, ${at}, ${length}, ${byte})`, {
    can: world => world.pages[page] !== undefined,
    run(world, system) {
      const bytes = new Uint8Array(Math.min(length, PAGE - at)).fill(byte);
      const allowed = world.accessible(page, WRITE);
      assert.equal(system.poke(page, at, bytes), allowed ? 0 : 'EFAULT', 'a write by the process');
      if (!allowed) return;
      world.written(page, COPIES_PROTECTED);
      world.contents.get(world.keyAt(page, system.seen()[page] ?? 0n))?.set(bytes, at);
    },
  }));

const look = fc.record({page: place}).map(({page}) => command(`look(${page})`, {
  can: world => world.pages[page] !== undefined,
  run(world, system) {
    const bytes = system.peek(page, 1);
    if (!world.accessible(page, READ)) {
      assert.equal(bytes, 'EFAULT', 'a read by the process');
      return;
    }
    const content = world.contents.get(world.keyAt(page, system.seen()[page] ?? 0n));
    if (content !== undefined) assert.deepEqual(bytes, content, `what the process sees at page ${page} is the frame's content`);
  },
}));

const fork = fc.constant(command('fork()', {
  can: world => world.children.length < 2,
  run(world, system) {
    system.fork();
    world.fork();
  },
}));

const endChild = fc.constant(command('endChild()', {
  can: world => world.children.length > 0,
  run(world, system) {
    system.endChild();
    world.endChild();
  },
}));

const compact = fc.constant(command('compact()', {
  run(_world, system) {
    system.compact();
  },
}));

/** Where every sequence begins: some of everything, and three vectors. */
export function begin(world: World, system: System): void {
  const somewhere: [number, number, Mapped['source']][] = [[0, 3, 'anonymous'], [3, 3, 'shared'], [6, 2, 'private'], [8, 8, 'aperture'], [505, 12, 'anonymous']];
  for (const [first, count, source] of somewhere) {
    system.map(first, count, source, RW, 0);
    world.map(first, count, i => ({source, prot: RW, offset: source === 'anonymous' ? 0 : i, reprotected: false}));
  }
  for (let i = 0; i < 3; i++) {
    system.create(16);
    world.vectors.push({capacity: 16, holds: undefined, keepers: new Set()});
  }
}

// --- vectors ------------------------------------------------------------------------------------

const which = fc.integer({min: 0, max: 3});

const create = fc.record({capacity: fc.oneof({weight: 5, arbitrary: fc.integer({min: 6, max: 24})}, {weight: 1, arbitrary: fc.integer({min: 1, max: ARENA})})})
  .map(({capacity}) => command(`create(${capacity})`, {
    can: world => world.vectors.length < 4,
    run(world, system) {
      system.create(capacity);
      world.vectors.push({capacity, holds: undefined, keepers: new Set()});
    },
  }));

const pin = fc.record({
  which, first: place,
  count: fc.oneof({weight: 12, arbitrary: extent}, {weight: 1, arbitrary: fc.integer({min: 500, max: 600})}),
  skew: fc.oneof(fc.constant(0), fc.integer({min: 0, max: PAGE - 1})),
  cut: fc.oneof(fc.constant(0), fc.integer({min: 0, max: PAGE - 1})),
  write: fc.boolean(),
  partial: fc.boolean(),
}).map(({which, first, count, skew, cut, write, partial}) => {
  const length = Math.max(1, count * PAGE - skew - cut);
  return command(`pin(${which}, ${first * PAGE + skew}, ${length}${write ? ', write' : ''}${partial ? ', partial' : ''})`, {
    can: anyVector,
    run(world, system) {
      const [index, vector] = vectorOf(world, which);
      const expected = world.verdict(vector, first * PAGE + skew, length, write, partial);
      const {result, fields} = system.ioctl(index, 'PIN', {
        addr: system.address(first) + BigInt(skew), length,
        flags: (write ? uapi.FRAMEVEC_PIN_WRITE : 0) | (partial ? uapi.FRAMEVEC_PIN_PARTIAL : 0),
      });
      const told = result === 0 || expected.reason !== uapi.FRAMEVEC_REASON_NONE;
      assert.deepEqual(
        {result, ...(told ? {reason: fields.reason, failed: fields.fail_addr, frames: fields.frames} : {})},
        {
          result: expected.result,
          ...(told ? {reason: expected.reason, failed: expected.failed === undefined ? 0 : Number(system.address(expected.failed)), frames: expected.frames} : {}),
        },
        'PIN',
      );
      happened(`PIN ${result === 0 && expected.reason !== uapi.FRAMEVEC_REASON_NONE ? 'in part' : result}`);
      if (result === 0) take(world, system, index, {first, frames: expected.frames, offset: skew, length, write});
    },
  });
});

/** PIN has succeeded: which frames these are, by pagemap's word, or by what was told of the aperture before. */
function take(world: World, system: System, index: number, {first, frames, offset, length, write}: {first: number; frames: number; offset: number; length: number; write: boolean}): void {
  const device = world.pages[first]?.source === 'aperture';
  const told = system.pfns(index, 0, frames);
  assert.ok(Array.isArray(told), `READ_PFNS: ${String(told)}`);
  const seen = system.seen();
  const views = system.peek(first, frames);
  // A pin for write is a fault for write, where one is needed.
  if (write) for (let i = 0; i < frames; i++) world.written(first + i, COPIES_PROTECTED);

  const held = told.map((pfn, i): Held => {
    const page = world.pages[first + i];
    if (page === undefined) throw new Error('a hole can\'t be held');
    if (device) {
      const known = world.aperture.get(page.offset) ?? pfn;
      assert.equal(pfn, known, `frame ${page.offset} of the aperture is always the same`);
      assert.ok([...world.aperture].every(([other, number]) => (number === pfn) === (other === page.offset)), 'and no other is');
      world.aperture.set(page.offset, pfn);
    } else {
      assert.equal(pfn, seen[first + i], `frame ${i} is what pagemap says of page ${first + i}`);
    }
    const promised = UNSHARES || page.source === 'shared' || system.isAnonymous(pfn);
    const counted = !(PINS_NO_ZERO_PAGE && !device && system.isZeroPage(pfn));
    return {key: device ? apertureKey(page.offset) : pfn, pfn, at: !device && promised ? first + i : undefined, counted};
  });

  for (const [i, {key}] of held.entries()) {
    const view = typeof views === 'object' ? views.slice(i * PAGE, (i + 1) * PAGE) : undefined;
    const content = world.contents.get(key);
    if (content !== undefined && view !== undefined) assert.deepEqual(view, content, `the process sees the content of frame ${i}`);
    else if (view !== undefined) world.contents.set(key, view);
  }
  const vector = world.vectors[index];
  if (vector === undefined) throw new Error(`no vector ${index}`);
  happened(device ? 'snapshot' : 'pin');
  vector.holds = {
    kind: device ? uapi.FRAMEVEC_KIND_PFNS : uapi.FRAMEVEC_KIND_PAGES,
    write, gotRef: !device, stale: false, offset, first, frames: held,
    length: Math.min(length, frames * PAGE - offset),
  };
}

const unpin = fc.record({which}).map(({which}) => command(`unpin(${which})`, {
  can: anyVector,
  run(world, system) {
    const [index, vector] = vectorOf(world, which);
    const {result, fields} = system.ioctl(index, 'UNPIN');
    assert.equal(result, vector.holds === undefined ? 'ENODATA' : 0, 'UNPIN');
    if (result === 0) assert.equal(fields.frames, vector.holds?.frames.length);
    vector.holds = undefined;
    world.release();
  },
}));

const close = fc.record({which}).map(({which}) => command(`close(${which})`, {
  can: anyVector,
  run(world, system) {
    const [index] = vectorOf(world, which);
    system.close(index);
    world.close(index);
  },
}));

const convert = fc.record({which, pages: fc.boolean()}).map(({which, pages}) => command(`${pages ? 'toPages' : 'toPfns'}(${which})`, {
  can: anyVector,
  run(world, system) {
    const [index, {holds}] = vectorOf(world, which);
    const {result} = system.ioctl(index, pages ? 'TO_PAGES' : 'TO_PFNS');
    assert.equal(result, atTheDoor(holds) ?? 0);
    if (result === 0 && holds !== undefined) holds.kind = pages ? uapi.FRAMEVEC_KIND_PAGES : uapi.FRAMEVEC_KIND_PFNS;
  },
}));

const readPfns = fc.record({which, first: fc.integer({min: 0, max: 24}), count: fc.integer({min: 1, max: 24})})
  .map(({which, first, count}) => command(`pfns(${which}, ${first}, ${count})`, {
    can: anyVector,
    run(world, system) {
      const [index, {holds}] = vectorOf(world, which);
      const inside = first + count <= (holds?.frames.length ?? 0);
      assert.deepEqual(system.pfns(index, first, count),
        atTheDoor(holds) ?? (inside ? holds?.frames.slice(first, first + count).map(({pfn}) => pfn) : 'EINVAL'));
    },
  }));

/** Maximal runs of numbers that follow each other. */
function runsOf(pfns: readonly bigint[]): [bigint, number][] {
  const runs: [bigint, number][] = [];
  for (const pfn of pfns) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + BigInt(last[1]) === pfn) last[1] += 1;
    else runs.push([pfn, 1]);
  }
  return runs;
}

const extents = fc.record({which, first: fc.oneof(fc.constant(0), fc.integer({min: 0, max: 24})), capacity: fc.integer({min: 1, max: 32})})
  .map(({which, first, capacity}) => command(`extents(${which}, ${first}, ${capacity})`, {
    can: anyVector,
    run(world, system) {
      const [index, {holds}] = vectorOf(world, which);
      const pfns = new BigUint64Array(capacity);
      const counts = new Uint32Array(capacity);
      const {result, fields} = system.ioctl(index, 'EXTENTS', {first, capacity, pfns, counts});
      const frames = holds?.frames ?? [];
      assert.equal(result, atTheDoor(holds) ?? (first < frames.length ? 0 : 'EINVAL'));
      if (result !== 0) return;
      const runs = runsOf(frames.slice(first).map(({pfn}) => pfn)).slice(0, capacity);
      const told = Array.from({length: fields.extents ?? 0}, (_, i) => [pfns[i], counts[i]]);
      assert.deepEqual(told, runs);
      assert.equal(fields.next, first + runs.reduce((sum, [, n]) => sum + n, 0));
    },
  }));

/** Where bytes [position, position + length) of a range lie: frame, position in it, and position in the bytes. */
function* pieces(holds: Holding, position: number, length: number): Generator<{held: Held; at: number; from: number; n: number}> {
  for (let done = 0; done < length;) {
    const place = holds.offset + position + done;
    const held = holds.frames[Math.floor(place / PAGE)];
    if (held === undefined) throw new Error('beyond the last frame');
    const n = Math.min(length - done, PAGE - (place % PAGE));
    yield {held, at: place % PAGE, from: done, n};
    done += n;
  }
}

const span = {which, position: fc.integer({min: 0, max: 20 * PAGE}), length: fc.oneof(fc.integer({min: 1, max: 16}), fc.integer({min: 1, max: 3 * PAGE}))};

const read = fc.record(span).map(({which, position, length}) => command(`read(${which}, ${position}, ${length})`, {
  can: anyVector,
  run(world, system) {
    const [index, {holds}] = vectorOf(world, which);
    const bytes = new Uint8Array(length);
    const result = errnoName(raw.syscall(SYS.pread64, system.fd(index), bytes, length, position));
    const n = holds === undefined ? 0 : Math.max(0, Math.min(length, holds.length - position));
    assert.equal(result, atTheDoor(holds) ?? n);
    if (atTheDoor(holds) !== undefined || holds === undefined) return;
    for (const {held, at, from, n: some} of pieces(holds, position, n)) {
      const content = world.contents.get(held.key);
      if (content !== undefined) assert.deepEqual(bytes.subarray(from, from + some), content.subarray(at, at + some), `at ${at} of frame ${held.pfn}`);
    }
  },
}));

const write = fc.record({...span, byte: fc.integer({min: 1, max: 255})}).map(({which, position, length, byte}) => command(`write(${which}, ${position}, ${length}, ${byte})`, {
  can: anyVector,
  run(world, system) {
    const [index, {holds}] = vectorOf(world, which);
    const bytes = new Uint8Array(length).fill(byte);
    const result = errnoName(raw.syscall(SYS.pwrite64, system.fd(index), bytes, length, position));
    const n = holds === undefined ? 0 : Math.max(0, Math.min(length, holds.length - position));
    const door = holds?.write === false ? 'EBADF' : atTheDoor(holds);
    assert.equal(result, door ?? (n === 0 ? 'ENOSPC' : n));
    if (typeof result === 'string' || holds === undefined) return;
    for (const {held, at, from, n: some} of pieces(holds, position, n)) {
      world.contents.get(held.key)?.set(bytes.subarray(from, from + some), at);
    }
  },
}));

const weighted: [number, fc.Arbitrary<ModelCommand>][] = [
  [6, map], [1, mapHuge], [2, unmap], [3, protect], [2, move], [2, advise], [4, touch], [2, look], [1, fork], [1, endChild], [1, compact],
  [2, create], [14, pin], [9, unpin], [1, close], [3, convert], [2, readPfns], [3, extents], [3, read], [3, write],
];

/** Each as often as its weight. */
export const commands = weighted.flatMap(([weight, arbitrary]) => Array.from({length: weight}, () => arbitrary));
