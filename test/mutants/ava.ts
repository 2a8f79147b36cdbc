/**
 * What the tests' `import test from 'ava'` gets in the trials of the mutants: AVA's titles, order, hooks and assertions, in this thread and
 * nothing else. Under emulation AVA itself takes most of a minute to begin, and a hundred mutants begin a hundred times. The control is run
 * by it as well, so what it can't do shows there.
 */
import assert from 'node:assert/strict';

type Work = (t: Assertions) => unknown;

interface Expectation {
  instanceOf?: new (...args: never[]) => unknown;
  code?: unknown;
  name?: string;
  message?: string | RegExp;
}

function meets(error: unknown, {instanceOf, code, name, message}: Expectation): void {
  if (instanceOf !== undefined) assert.ok(error instanceof instanceOf, `${String(error)} is no ${instanceOf.name}`);
  const told = error as {code?: unknown; name?: string; message?: string};
  if (code !== undefined) assert.equal(told.code, code, String(error));
  if (name !== undefined) assert.equal(told.name, name);
  if (typeof message === 'string') assert.equal(told.message, message);
  else if (message !== undefined) assert.match(told.message ?? '', message);
}

/** The part of a value that a selector has, too. */
function partOf(value: unknown, selector: unknown): unknown {
  if (typeof selector !== 'object' || selector === null || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(selector)) return Array.isArray(value) ? selector.map((item, i) => partOf((value as unknown[])[i], item)) : value;
  return Object.fromEntries(Object.entries(selector).map(([key, item]) => [key, partOf((value as Record<string, unknown>)[key], item)]));
}

/** In plain objects only, as the selectors of the tests are. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

class Assertions {
  readonly is = (actual: unknown, expected: unknown, message?: string): void => {
    assert.ok(Object.is(actual, expected), `${String(actual)} instead of ${String(expected)} ${message ?? ''}`);
  };

  readonly not = (actual: unknown, other: unknown, message?: string): void => {
    assert.ok(!Object.is(actual, other), message);
  };

  readonly true = (actual: unknown, message?: string): void => {
    assert.equal(actual, true, message);
  };

  readonly false = (actual: unknown, message?: string): void => {
    assert.equal(actual, false, message);
  };

  readonly truthy = (actual: unknown, message?: string): void => {
    assert.ok(actual, message);
  };

  readonly deepEqual = (actual: unknown, expected: unknown, message?: string): void => {
    assert.deepEqual(actual, expected, message);
  };

  readonly notDeepEqual = (actual: unknown, other: unknown, message?: string): void => {
    assert.notDeepEqual(actual, other, message);
  };

  readonly like = (actual: unknown, selector: unknown, message?: string): void => {
    assert.deepEqual(plain(partOf(actual, selector)), plain(selector), message);
  };

  readonly regex = (text: string, pattern: RegExp, message?: string): void => {
    assert.match(text, pattern, message);
  };

  readonly notRegex = (text: string, pattern: RegExp, message?: string): void => {
    assert.doesNotMatch(text, pattern, message);
  };

  readonly throws = (work: () => unknown, expectation: Expectation = {}, message?: string): unknown => {
    try {
      work();
    } catch (error) {
      meets(error, expectation);
      return error;
    }
    assert.fail(message ?? 'nothing was thrown');
  };

  readonly throwsAsync = async (work: Promise<unknown> | (() => Promise<unknown>), expectation: Expectation = {}, message?: string): Promise<unknown> => {
    try {
      await (typeof work === 'function' ? work() : work);
    } catch (error) {
      meets(error, expectation);
      return error;
    }
    assert.fail(message ?? 'it was not rejected');
  };

  readonly notThrows = (work: () => unknown): void => {
    work();
  };

  readonly notThrowsAsync = async (work: Promise<unknown> | (() => Promise<unknown>)): Promise<void> => {
    await (typeof work === 'function' ? work() : work);
  };

  readonly fail = (message?: string): void => {
    assert.fail(message);
  };

  readonly pass = (): void => undefined;
  readonly log = (): void => undefined;
  readonly timeout = (): void => undefined;
}

interface Item {
  title: string;
  work: Work;
}

const items = {serial: [] as Item[], concurrent: [] as Item[], before: [] as Item[], beforeEach: [] as Item[], after: [] as Item[], afterEach: [] as Item[]};

type Add = (title: string | Work, work?: Work) => void;

const adder = (list: Item[], name: string): Add => (title, work) => {
  if (typeof title === 'string' && work !== undefined) list.push({title, work});
  else if (typeof title === 'function') list.push({title: name, work: title});
};

const always = (list: Item[], name: string): Add & {always: Add} => Object.assign(adder(list, name), {always: adder(list, name)});

export default Object.assign(adder(items.concurrent, 'test'), {
  serial: adder(items.serial, 'test'),
  before: adder(items.before, 'before'),
  beforeEach: adder(items.beforeEach, 'beforeEach'),
  after: always(items.after, 'after'),
  afterEach: always(items.afterEach, 'afterEach'),
});

/** `*` stands for any text, as in AVA's --match. */
function patternOf(match: string): RegExp {
  return new RegExp(`^${match.split('*').map(part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 's');
}

export interface Ended {
  title: string;
  /** Why it failed. */
  error?: string;
}

/** Runs the tests that have been declared. Of a hook only a failure is told. */
export async function runAll({matches, failFast, onEnd}: {matches: readonly string[]; failFast: boolean; onEnd: (ended: Ended) => void}): Promise<void> {
  const failures: string[] = [];
  const run = async ({title, work}: Item, hook: boolean): Promise<void> => {
    try {
      await work(new Assertions());
      if (!hook) onEnd({title});
    } catch (error) {
      failures.push(title);
      onEnd({title, error: error instanceof Error ? error.message : String(error)});
    }
  };
  const patterns = matches.map(patternOf);
  const asked = [...items.serial, ...items.concurrent].filter(({title}) => patterns.length === 0 || patterns.some(pattern => pattern.test(title)));
  for (const hook of items.before) await run(hook, true);
  for (const item of asked) {
    if (failures.length > 0 && failFast) break;
    for (const hook of items.beforeEach) await run(hook, true);
    await run(item, false);
    for (const hook of items.afterEach) await run(hook, true);
  }
  for (const hook of items.after) await run(hook, true);
}
