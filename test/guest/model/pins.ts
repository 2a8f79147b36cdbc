/** Pins, those with something in their way too, and what they come to. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as uapi from '../../../lib/uapi.js';
import {since} from '../oracles.js';
import {PAGE} from '../raw.js';
import {agree, atTheDoor, happened} from './agreement.js';
import type {System, Trouble} from './system.js';
import {ARENA, RESERVE, type Held, type Vector, type Verdict, type World, deviceKey, isDevice, refusal} from './world.js';

/** Until 5.19 a write to a page that was write-protected and has a pin is a copy; test/guest/cow.test.ts has the cases. */
export const COPIES_PROTECTED = !since([5, 19]);
/** From 6.2 on a longterm pin for read makes private memory the process's own first. */
const UNSHARES = since([6, 2]);
/** From 6.5 on, and on 6.1 of late, a pin of the page of zeros takes no reference. */
const PINS_NO_ZERO_PAGE = since([6, 1]);

/** How a range is pinned. */
export interface Way {
  skew: number;
  length: number;
  write: boolean;
  partial: boolean;
  trouble: Trouble;
  /** So many conversions follow at once, each to the other kind. */
  turns: number;
  /** What follows at once if it fails: nothing, or the same vector pins memory that can be pinned, and maybe unpins it. */
  again: 'nothing' | 'pin' | 'pin and unpin';
}

const trouble = fc.oneof(
  {weight: 6, arbitrary: fc.constant<Trouble>({kind: 'none'})},
  {weight: 1, arbitrary: fc.constant<Trouble>({kind: 'answer'})},
  {weight: 1, arbitrary: fc.integer({min: 1, max: 100}).map((every): Trouble => ({kind: 'signal', every}))},
  {weight: 1, arbitrary: fc.integer({min: 0, max: 8}).map((spare): Trouble => ({kind: 'limit', spare}))},
);

export function way(count: fc.Arbitrary<number>): fc.Arbitrary<Way> {
  const inPage = fc.oneof(fc.constant(0), fc.integer({min: 0, max: PAGE - 1}));
  return fc.record({count, skew: inPage, cut: inPage, write: fc.boolean(), partial: fc.boolean(), trouble, turns: fc.constantFrom(0, 0, 1, 2),
    again: fc.constantFrom('nothing' as const, 'pin' as const, 'pin and unpin' as const)})
    .map(({count, skew, cut, ...rest}) => ({...rest, skew, length: Math.max(1, count * PAGE - skew - cut)}));
}

export function inWords({write, partial, trouble, turns, again}: Way): string {
  const detail = trouble.kind === 'signal' ? ` ${trouble.every}` : trouble.kind === 'limit' ? ` ${trouble.spare}` : '';
  return [write ? ', write' : '', partial ? ', partial' : '', trouble.kind === 'none' ? '' : `, ${trouble.kind}${detail}`, turns > 0 ? `, turns ${turns}` : '',
    again === 'nothing' ? '' : `, again: ${again}`].join('');
}

/** What else PIN may say because of what is in its way. */
function withTrouble(verdicts: Verdict[], {trouble, partial}: Way, first: number): Verdict[] {
  const {INTERRUPTED, NONE} = {INTERRUPTED: uapi.FRAMEVEC_REASON_INTERRUPTED, NONE: uapi.FRAMEVEC_REASON_NONE};
  const atWork = verdicts.filter(({result, reason}) => result === 0 || reason !== NONE);
  if (atWork.length === 0) return verdicts;
  if (trouble.kind === 'answer') return [refusal('EFAULT')];
  if (trouble.kind !== 'signal') return verdicts;
  // Whether a signal comes in time, and whether a pin heeds it, is left open; what is held then is not.
  const most = partial ? Math.max(...atWork.map(({frames}) => frames)) : 0;
  const cutShort = Array.from({length: most}, (_, i): Verdict => ({result: 0, reason: INTERRUPTED, failed: first + i + 1, frames: i + 1}));
  return [...verdicts, refusal('EINTR', 'any'), ...cutShort];
}

interface Attempt extends Way {
  index: number;
  vector: Vector;
  /** The first page, as pages of `address` are counted. */
  first: number;
  address: (page: number) => bigint;
}

/** Calls PIN, and returns how many frames it holds; after a failure 0. */
export function attempt(system: System, world: World, verdicts: Verdict[], {index, vector, first, address, ...way}: Attempt): number {
  const {skew, length, write, partial, trouble} = way;
  world.last = vector;
  const {result, fields} = system.pin(index, {
    addr: address(first) + BigInt(skew), length, flags: (write ? uapi.FRAMEVEC_PIN_WRITE : 0) | (partial ? uapi.FRAMEVEC_PIN_PARTIAL : 0),
  }, trouble);
  const expected = withTrouble(verdicts, way, first);
  const told = {result, reason: fields.reason, failed: fields.fail_addr, frames: fields.frames};
  const agrees = expected.some(verdict => {
    if (verdict.result !== result) return false;
    if (result !== 0 && verdict.reason === uapi.FRAMEVEC_REASON_NONE) return true;
    if (fields.frames !== verdict.frames) return false;
    if (verdict.reason === 'any') return true;
    return fields.reason === verdict.reason && fields.fail_addr === (verdict.failed === undefined ? 0 : Number(address(verdict.failed)));
  });
  if (!agrees) assert.deepEqual(told, expected, `PIN from page ${first}, at ${address(first)}`);
  happened(`PIN ${result === 0 && fields.reason !== uapi.FRAMEVEC_REASON_NONE ? 'in part' : result}`);
  if (trouble.kind !== 'none') happened(`${trouble.kind}: ${result}`);
  if (result !== 0) happened(`failed: ${fields.reason ?? ''}`);
  return result === 0 ? (fields.frames ?? 0) : 0;
}

/** PIN has succeeded: which frames these are, by pagemap's word, or by what was told of device memory before. */
export function take(world: World, system: System, index: number, first: number, frames: number, way: Way): void {
  const {skew: offset, length, write} = way;
  const start = world.pages[first];
  const device = start !== undefined && isDevice(start);
  const told = numbers(system, index, frames);
  const seen = system.seen();
  const views = system.peek(first, frames);
  // A pin for write is a fault for write, where one is needed.
  if (write) for (let i = 0; i < frames; i++) world.written(first + i, COPIES_PROTECTED);

  const held = told.map((pfn, i): Held => {
    const page = world.pages[first + i];
    if (page === undefined) throw new Error('a hole can\'t be held');
    if (device) return deviceFrame(world, deviceKey(page.source, page.offset), pfn);
    assert.equal(pfn, seen[first + i], `frame ${i} is what pagemap says of page ${first + i}`);
    const promised = UNSHARES || page.source === 'shared' || system.isAnonymous(pfn);
    return {key: pfn, pfn, at: promised ? first + i : undefined, counted: !(PINS_NO_ZERO_PAGE && system.isZeroPage(pfn))};
  });

  for (const [i, {key}] of held.entries()) {
    const view = typeof views === 'object' ? views.slice(i * PAGE, (i + 1) * PAGE) : undefined;
    const content = world.contents.get(key);
    if (content !== undefined && view !== undefined) assert.deepEqual(view, content, `the process sees the content of frame ${i}`);
    else if (view !== undefined) world.contents.set(key, view);
  }
  happened(device ? 'snapshot' : 'pin');
  hold(world, index, {
    kind: device ? uapi.FRAMEVEC_KIND_PFNS : uapi.FRAMEVEC_KIND_PAGES,
    write, gotRef: !device, stale: false, offset, first, frames: held, hasPages: start?.source !== 'uncached' && start?.source !== 'combining',
    length: Math.min(length, frames * PAGE - offset),
  });
}

/**
 * After a pin that failed: the vector is empty and good for whatever else. It pins memory that nothing else uses, and it is looked at as
 * pages, as numbers and as pages again.
 */
export function reuse(world: World, system: System, index: number, {again, write, skew}: Way): void {
  const vector = world.vectors[index];
  if (again === 'nothing' || vector === undefined || vector.holds !== undefined) return;
  const way: Way = {write, skew, length: Math.min(vector.capacity, RESERVE.count) * PAGE - skew, partial: false, trouble: {kind: 'none'}, turns: 2, again};
  const {first} = RESERVE;
  const verdicts = world.verdicts(vector, first * PAGE + skew, way.length, write, false);
  const frames = attempt(system, world, verdicts, {...way, index, vector, first, address: page => system.address(page)});
  take(world, system, index, first, frames, way);
  agree(world, system);
  turn(world, system, index, way.turns);
  happened('used again after a failure');
  if (again === 'pin and unpin') unpin(world, system, index);
}

export function unpin(world: World, system: System, index: number): void {
  const vector = world.vectors[index];
  const {result, fields} = system.ioctl(index, 'UNPIN');
  assert.equal(result, vector?.holds === undefined ? 'ENODATA' : 0, 'UNPIN');
  if (result === 0) assert.equal(fields.frames, vector?.holds?.frames.length);
  if (vector !== undefined) vector.holds = undefined;
  world.release();
}

/** The same of the kernel's own device memory in this process, whose content changes as it pleases. */
export function takeKernel(world: World, system: System, index: number, first: number, frames: number, {skew: offset, length}: Way): void {
  const held = numbers(system, index, frames).map((pfn, i) => deviceFrame(world, deviceKey('kernel', first + i), pfn));
  happened('snapshot of the kernel\'s');
  hold(world, index, {
    kind: uapi.FRAMEVEC_KIND_PFNS, write: false, gotRef: false, stale: false, offset, first: ARENA, frames: held, hasPages: true,
    length: Math.min(length, frames * PAGE - offset),
  });
}

function hold(world: World, index: number, holds: Vector['holds']): void {
  const vector = world.vectors[index];
  if (vector === undefined) throw new Error(`no vector ${index}`);
  vector.holds = holds;
}

function numbers(system: System, index: number, frames: number): bigint[] {
  const told = system.pfns(index, 0, frames);
  assert.ok(Array.isArray(told), `READ_PFNS: ${String(told)}`);
  return told;
}

function deviceFrame(world: World, key: bigint, pfn: bigint): Held {
  assert.equal(pfn, world.devices.get(key) ?? pfn, `device frame ${key} is always the same`);
  assert.ok([...world.devices].every(([other, number]) => (number === pfn) === (other === key)), 'and no other is');
  world.devices.set(key, pfn);
  return {key, pfn, at: undefined, counted: true};
}

/** Each conversion is followed by a look at everything. */
export function turn(world: World, system: System, index: number, turns: number): void {
  const holds = world.vectors[index]?.holds;
  for (let i = 0; i < turns && holds !== undefined; i++) {
    convert(world, system, index, holds.kind === uapi.FRAMEVEC_KIND_PFNS);
    agree(world, system);
  }
}

export function convert(world: World, system: System, index: number, pages: boolean): void {
  const holds = world.vectors[index]?.holds;
  const {result, fields} = system.ioctl(index, pages ? 'TO_PAGES' : 'TO_PFNS');
  const impossible = pages && holds?.kind === uapi.FRAMEVEC_KIND_PFNS && !holds.hasPages;
  assert.equal(result, atTheDoor(holds) ?? (impossible ? 'EINVAL' : 0), pages ? 'TO_PAGES' : 'TO_PFNS');
  if (result === 'EINVAL') assert.equal(fields.reason, uapi.FRAMEVEC_REASON_NO_PAGE);
  if (result === 0 && holds !== undefined) holds.kind = pages ? uapi.FRAMEVEC_KIND_PAGES : uapi.FRAMEVEC_KIND_PFNS;
}
