/** Debian packages taken through an apt state of the runner's own: nothing on the machine is installed or changed. */
import {mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Cache} from './cache.js';
import {VmError} from './errors.js';
import type {Suite} from './kernels.js';
import {must, run} from './programs.js';
import type {Progress} from './progress.js';
import {sourcesFor, type SourceFile} from './sources.js';

const APT = '/etc/apt';

export interface PackageVersion {
  name: string;
  version: string;
}

/** What a metapackage leads to: the packages that hold the kernel's files, not the programs that would install it. */
const HOLDS_KERNEL_FILES = /^linux-(image|binary|modules|headers|kbuild)-(?=\d)/;
const LEADS_THERE = /^linux-(image|binary|modules|headers|kbuild)-/;

export class PackageSource {
  private readonly directory: string;
  private updated = false;
  readonly suiteName: string;

  constructor(
    cache: Cache,
    private readonly progress: Progress,
    private readonly suite: Suite,
  ) {
    this.directory = cache.path('apt', `${suite.release}-${suite.part}`);
    this.suiteName = suite.part === 'backports' ? `${suite.release}-backports` : suite.release;
  }

  /** Fetches the package lists of the suite, once a process. */
  async update(): Promise<void> {
    if (this.updated) {
      return;
    }
    const text = sourcesFor(machineSources(), this.suite);
    if (text === undefined) {
      throw new VmError(
        `this machine's apt sources (${APT}) name no Debian archive, so ${this.suiteName}'s kernels cannot be fetched; use --kernel host or --kernel /path/to/vmlinuz`,
      );
    }
    await this.progress.step(`fetch the package lists of ${this.suiteName}`, async () => {
      rmSync(this.directory, {recursive: true, force: true});
      for (const part of ['sources', 'state/lists/partial', 'cache/archives/partial']) {
        mkdirSync(join(this.directory, part), {recursive: true});
      }
      writeFileSync(join(this.directory, 'sources', 'debian.sources'), text);
      // apt-get update says 0 when a list could not be had; the word is in its output then.
      const {status, stderr} = await run('apt-get', [...this.options(), 'update']);
      const complaint = /^(E|W): .*(Failed|not available|not have a Release|NO_PUBKEY).*$/m.exec(stderr)?.[0];
      if (status !== 0 || complaint !== undefined) {
        throw new VmError(`fetching the package lists of ${this.suiteName} failed: ${complaint ?? stderr.trim().split('\n').at(-1)}`, undefined, stderr);
      }
    });
    this.updated = true;
  }

  /** The packages that `roots` lead to, with the versions that the suite has now. */
  async resolve(roots: readonly string[]): Promise<PackageVersion[]> {
    const seen = new Set<string>();
    const found = new Map<string, PackageVersion>();
    let queue = [...roots];
    while (queue.length > 0) {
      const names = [...new Set(queue)].filter((name) => !seen.has(name));
      names.forEach((name) => seen.add(name));
      queue = [];
      if (names.length === 0) {
        break;
      }
      const text = await must(`looking up ${names.join(' ')} in ${this.suiteName}`, 'apt-cache', [
        ...this.options(),
        'show',
        '--no-all-versions',
        ...names,
      ]);
      for (const stanza of text.split(/\n\n+/)) {
        const name = /^Package: (.*)$/m.exec(stanza)?.[1];
        const version = /^Version: (.*)$/m.exec(stanza)?.[1];
        if (name === undefined || version === undefined) {
          continue;
        }
        if (HOLDS_KERNEL_FILES.test(name)) {
          found.set(name, {name, version});
        }
        queue.push(...dependencies(stanza).filter((dependency) => LEADS_THERE.test(dependency)));
      }
    }
    return [...found.values()];
  }

  /** Downloads one package into `directory`; the path of its file. */
  async download({name, version}: Partial<PackageVersion> & {name: string}, directory: string): Promise<string> {
    mkdirSync(directory, {recursive: true});
    await must(`fetching ${name}`, 'apt-get', [...this.options(), 'download', version === undefined ? name : `${name}=${version}`], {cwd: directory});
    const file = readdirSync(directory).find((entry) => entry.startsWith(`${name}_`));
    if (file === undefined) {
      throw new VmError(`fetching ${name} ended well, but its file is not there`);
    }
    return join(directory, file);
  }

  private options(): string[] {
    const state = join(this.directory, 'state');
    return [
      '-q',
      ['Dir::State', state],
      ['Dir::State::lists', join(state, 'lists')],
      ['Dir::State::status', '/dev/null'],
      ['Dir::Cache', join(this.directory, 'cache')],
      ['Dir::Etc::sourcelist', '/dev/null'],
      ['Dir::Etc::sourceparts', join(this.directory, 'sources')],
      // Pins and a default release speak of the machine's own packages.
      ['Dir::Etc::preferences', '/dev/null'],
      ['Dir::Etc::preferencesparts', '/dev/null'],
      ['APT::Default-Release', ''],
      // The sandbox user cannot enter a home directory.
      ['APT::Sandbox::User', 'root'],
      ['APT::Architecture', 'amd64'],
      ['Acquire::Languages', 'none'],
      ['Acquire::Retries', '3'],
      ['Debug::NoLocking', '1'],
    ].flatMap((option) => (typeof option === 'string' ? [option] : ['-o', option.join('=')]));
  }
}

/** The names in Depends, of alternatives the first that fits. */
function dependencies(stanza: string): string[] {
  return [...stanza.matchAll(/^(?:Pre-)?Depends: (.*)$/gm)]
    .flatMap((match) => (match[1] ?? '').split(','))
    .map((alternatives) => /^[^\s(:|]+/.exec(alternatives.trim())?.[0] ?? '');
}

function machineSources(): SourceFile[] {
  const parts = join(APT, 'sources.list.d');
  const paths = [join(APT, 'sources.list')];
  try {
    paths.push(...readdirSync(parts).sort().map((name) => join(parts, name)));
  } catch {
    // A machine may have the one file only.
  }
  return paths.flatMap((path) => {
    try {
      return [{name: path, text: readFileSync(path, 'utf8')}];
    } catch {
      return [];
    }
  });
}
