/** What can be done, each step to the model and to the real thing, and what is held against what after it. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as uapi from '../../../lib/uapi.js';
import {MADV, PAGE, PROT, SYS, errnoName, raw} from '../raw.js';
import {agree, atTheDoor, census, extentsOf, happened, pieces, runsOf, sameCounts} from './agreement.js';
import {COPIES_PROTECTED, attempt, convert as convertVector, inWords, reuse, take, takeKernel, turn, unpin as unpinVector, way} from './pins.js';
import type {System} from './system.js';
import {ARENA, FILE, RESERVE, type Mapped, type Vector, type Verdict, type World, isDevice, refusal} from './world.js';

export type ModelCommand = fc.Command<World, System>;

const {READ, WRITE} = PROT;
const RW = READ | WRITE;
interface Step {
  can?: (world: World) => boolean;
  run: (world: World, system: System) => void;
}

/** A step, and after it the whole of the world against the system. */
function command(words: string, {can, run}: Step): ModelCommand {
  return {
    check: world => can?.(world) ?? true,
    run(world, system) {
      happened('steps');
      const watching = world.holdings().filter(({gotRef, stale}) => !gotRef && !stale);
      run(world, system);
      for (const {stale} of watching) if (stale) happened(`stale by ${words.slice(0, words.indexOf('('))}`);
      agree(world, system);
    },
    toString: () => words,
  };
}

/** A step that calls framevec only: it changes no mapping, and so no count of mappings. */
function vectorCommand(words: string, {can, run}: Step): ModelCommand {
  return command(words, {
    can: world => anyVector(world) && (can?.(world) ?? true),
    run(world, system) {
      const before = census(world, system);
      run(world, system);
      sameCounts(before, world, system);
    },
  });
}

/** Stands for the vector that a pin was last tried with, if it is still there. */
const LAST = 9;

function vectorOf(world: World, which: number): [number, Vector] {
  const last = which === LAST && world.last !== undefined ? world.vectors.indexOf(world.last) : -1;
  const index = last >= 0 ? last : which % world.vectors.length;
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
  source: fc.constantFrom('anonymous' as const, 'anonymous' as const, 'shared' as const, 'private' as const, 'aperture' as const, 'aperture' as const,
    'uncached' as const, 'combining' as const),
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
    const start = world.pages[first];
    const device = start !== undefined && isDevice(start);
    const n = world.run(first, count, page => isDevice(page) === device);
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
  const somewhere: [number, number, Mapped['source']][] = [[0, 3, 'anonymous'], [3, 3, 'shared'], [6, 2, 'private'], [8, 5, 'aperture'], [13, 2, 'combining'], [505, 12, 'anonymous'],
    [RESERVE.first, RESERVE.count, 'anonymous']];
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

const which = fc.oneof({weight: 3, arbitrary: fc.integer({min: 0, max: 3})}, {weight: 1, arbitrary: fc.constant(LAST)});

const create = fc.record({capacity: fc.oneof({weight: 5, arbitrary: fc.integer({min: 6, max: 24})}, {weight: 1, arbitrary: fc.integer({min: 1, max: ARENA})})})
  .map(({capacity}) => command(`create(${capacity})`, {
    can: world => world.vectors.length < 4,
    run(world, system) {
      system.create(capacity);
      world.vectors.push({capacity, holds: undefined, keepers: new Set()});
    },
  }));

const pin = fc.record({
  which, from: place, atBorder: fc.boolean(),
  how: way(fc.oneof({weight: 12, arbitrary: extent}, {weight: 1, arbitrary: fc.integer({min: 500, max: 600})})),
}).map(({which, from, atBorder, how}) => vectorCommand(`pin(${which}, ${atBorder ? 'border after ' : ''}${from * PAGE + how.skew}, ${how.length}${inWords(how)})`, {
  run(world, system) {
    const [index, vector] = vectorOf(world, which);
    const {skew, length, write, partial, trouble, turns} = how;
    const first = atBorder ? world.border(from) : from;
    const verdicts = world.verdicts(vector, first * PAGE + skew, length, write, partial, trouble.kind === 'limit' ? trouble.spare : Infinity);
    const frames = attempt(system, world, verdicts, {...how, index, vector, first, address: page => system.address(page)});
    if (frames > 0) {
      take(world, system, index, first, frames, how);
      turn(world, system, index, turns);
    } else if (write) {
      // It may have faulted in what comes before the obstacle.
      for (let i = 0; i * PAGE < skew + length; i++) world.written(first + i, COPIES_PROTECTED);
    }
    if (frames === 0) reuse(world, system, index, how);
  },
}));

/** Device memory of which a fault does not provide every page. */
const pinKernel = fc.record({which, first: fc.integer({min: 0, max: 7}), how: way(fc.integer({min: 1, max: 8}))})
  .map(({which, first, how}) => vectorCommand(`pinKernel(${which}, ${first * PAGE + how.skew}, ${how.length}${inWords(how)})`, {
    run(world, system) {
      const {address, readable} = system.kernel;
      if (readable.length === 0) return;
      const [index, vector] = vectorOf(world, which);
      const from = first % readable.length;
      const length = Math.min(how.length, (readable.length - from) * PAGE - how.skew);
      const verdict = kernelVerdict(vector, readable.slice(from, from + Math.ceil((how.skew + length) / PAGE)), from, how.write, how.partial);
      const frames = attempt(system, world, [verdict], {...how, length, index, vector, first: from, address: page => address + BigInt(page * PAGE)});
      if (frames === 0) {
        reuse(world, system, index, how);
        return;
      }
      takeKernel(world, system, index, from, frames, {...how, length});
      turn(world, system, index, how.turns);
    },
  }));

function kernelVerdict(vector: Vector, readable: readonly boolean[], first: number, write: boolean, partial: boolean): Verdict {
  if (readable.length > vector.capacity) return refusal('EINVAL');
  if (vector.holds !== undefined) return refusal('EBUSY');
  if (write) return refusal('EFAULT', uapi.FRAMEVEC_REASON_NOT_WRITABLE, first);
  const frames = readable.includes(false) ? readable.indexOf(false) : readable.length;
  if (frames === readable.length) return {result: 0, reason: uapi.FRAMEVEC_REASON_NONE, failed: undefined, frames};
  return partial && frames > 0 ? {result: 0, reason: 'any', failed: undefined, frames} : refusal('EFAULT', 'any');
}

const unpin = fc.record({which}).map(({which}) => vectorCommand(`unpin(${which})`, {
  run(world, system) {
    unpinVector(world, system, vectorOf(world, which)[0]);
  },
}));

const close = fc.record({which}).map(({which}) => vectorCommand(`close(${which})`, {
  run(world, system) {
    const [index] = vectorOf(world, which);
    system.close(index);
    world.close(index);
  },
}));

const convert = fc.record({which, pages: fc.boolean()}).map(({which, pages}) => vectorCommand(`${pages ? 'toPages' : 'toPfns'}(${which})`, {
  run(world, system) {
    convertVector(world, system, vectorOf(world, which)[0], pages);
  },
}));

const readPfns = fc.record({which, first: fc.integer({min: 0, max: 24}), count: fc.integer({min: 1, max: 24})})
  .map(({which, first, count}) => vectorCommand(`pfns(${which}, ${first}, ${count})`, {
    run(world, system) {
      const [index, {holds}] = vectorOf(world, which);
      const inside = first + count <= (holds?.frames.length ?? 0);
      assert.deepEqual(system.pfns(index, first, count),
        atTheDoor(holds) ?? (inside ? holds?.frames.slice(first, first + count).map(({pfn}) => pfn) : 'EINVAL'));
    },
  }));

const extents = fc.record({which, first: fc.oneof(fc.constant(0), fc.integer({min: 0, max: 24})), capacity: fc.integer({min: 1, max: 32})})
  .map(({which, first, capacity}) => vectorCommand(`extents(${which}, ${first}, ${capacity})`, {
    run(world, system) {
      const [index, {holds}] = vectorOf(world, which);
      const {result, runs: told, next} = extentsOf(system, index, first, capacity);
      const frames = holds?.frames ?? [];
      assert.equal(result, atTheDoor(holds) ?? (first < frames.length ? 0 : 'EINVAL'));
      if (result !== 0) return;
      const runs = runsOf(frames.slice(first).map(({pfn}) => pfn)).slice(0, capacity);
      assert.deepEqual(told, runs);
      assert.equal(next, first + runs.reduce((sum, [, n]) => sum + (n ?? 0), 0));
    },
  }));

const span = {which, position: fc.integer({min: 0, max: 20 * PAGE}), length: fc.oneof(fc.integer({min: 1, max: 16}), fc.integer({min: 1, max: 3 * PAGE}))};

const read = fc.record(span).map(({which, position, length}) => vectorCommand(`read(${which}, ${position}, ${length})`, {
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

const write = fc.record({...span, byte: fc.integer({min: 1, max: 255})}).map(({which, position, length, byte}) => vectorCommand(`write(${which}, ${position}, ${length}, ${byte})`, {
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
  [2, create], [14, pin], [2, pinKernel], [9, unpin], [1, close], [3, convert], [2, readPfns], [3, extents], [3, read], [3, write],
];

/** Each as often as its weight. */
export const commands = weighted.flatMap(([weight, arbitrary]) => Array.from({length: weight}, () => arbitrary));
