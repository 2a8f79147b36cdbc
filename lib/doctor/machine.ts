/** What the doctor looks at, and no more: so that a test can show it another machine. */
import {accessSync, constants, existsSync, readFileSync, statSync} from 'node:fs';
import {release} from 'node:os';
import {join} from 'node:path';
import type {ModuleInfo} from '../device.js';
import {FRAMEVEC_DEVICE} from '../uapi.js';
import {hostFacts, type HostFacts} from '../vm/accel.js';
import {findProgram} from '../vm/programs.js';

export interface DeviceNode {
  /** The permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** This process may open it for reading and writing, as far as its permissions go. */
  open: boolean;
}

/** What the module answers to INFO; or why it was not to be had, with the remedy that the library's error names. */
export type Answer = {abi: number; features: ModuleInfo['features']} | {code: string; message: string};

export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** process.version. */
  readonly node: string;
  /** The C library's version; undefined if it is not glibc. */
  readonly glibc: string | undefined;
  /** uname -r. */
  readonly release: string;
  /** Its effective user is root. */
  readonly isRoot: boolean;
  /** Bytes in a page. */
  readonly pageSize: number;
  /** The text of a file below /proc, /sys or /lib/modules; undefined if it can't be read. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  device(): DeviceNode | undefined;
  kvm(): HostFacts;
  hasProgram(name: string): boolean;
  /** Where the addon is that loads; or why none does. */
  addon(): Promise<{path: string} | {message: string}>;
  module(): Promise<Answer>;
}

/** This one. Its files may lie below another directory than `/`. */
export function thisMachine(root = '/'): Machine {
  const at = (path: string): string => join(root, path);
  const {header} = process.report.getReport() as {header: {glibcVersionRuntime?: string}};
  return {
    platform: process.platform,
    arch: process.arch,
    node: process.version,
    glibc: header.glibcVersionRuntime,
    release: release(),
    isRoot: process.geteuid?.() === 0,
    pageSize: pageSize(),
    read(path) {
      try {
        return readFileSync(at(path), 'utf8');
      } catch {
        return undefined;
      }
    },
    exists: (path) => existsSync(at(path)),
    device() {
      try {
        const {mode, uid, gid} = statSync(at(FRAMEVEC_DEVICE));
        return {mode: mode & 0o7777, uid, gid, open: mayOpen(at(FRAMEVEC_DEVICE))};
      } catch {
        return undefined;
      }
    },
    kvm: hostFacts,
    hasProgram: (name) => findProgram(name) !== undefined,
    async addon() {
      try {
        // Not before: where there is no addon, the doctor is what says so.
        const {addon} = await import('../addon.js');
        return {path: addon.path ?? 'framevec.node'};
      } catch (error) {
        return {message: messageOf(error)};
      }
    },
    async module() {
      try {
        const {info} = await import('../device.js');
        const {abi, features} = info();
        return {abi, features};
      } catch (error) {
        return {code: (error as {code?: string}).code ?? 'unknown', message: messageOf(error)};
      }
    },
  };
}

const AT_PAGESZ = 6n;

/** The kernel tells each process in its auxiliary vector: pairs of a type and a value. */
function pageSize(): number {
  const vector = new BigUint64Array(new Uint8Array(readFileSync('/proc/self/auxv')).buffer);
  return Number(vector[vector.findIndex((type, i) => i % 2 === 0 && type === AT_PAGESZ) + 1]);
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
