/** What /proc/PID/fdinfo/N says of a vector: kmod/descriptor.c writes it. */
import {readFileSync} from 'node:fs';
import {KINDS, type Kind} from './uapi.js';

/** A vector, as the kernel tells anybody who may read the process's fdinfo: neither addresses nor frame numbers. */
export interface VectorInfo {
  /** Its number, which no other vector has or will have until the module is loaded anew. */
  readonly id: number;
  /** The process that created it, and whose VmPin its frames are charged to; 0 if this PID namespace does not know it. */
  readonly owner: number;
  /** Frames it can hold. */
  readonly capacity: number;
  /** What it holds; undefined while a call works on it. */
  readonly holding: Holding | undefined;
}

/** What a vector holds. */
export interface Holding {
  readonly kind: Kind;
  readonly frames: number;
  /** Bytes from the start of the first frame to the first byte. */
  readonly offset: number;
  readonly bytes: number;
  readonly write: boolean;
  /** unpin() has references to give back: not so of frame numbers. */
  readonly gotRef: boolean;
  readonly stale: boolean;
  /** For how long, in milliseconds; undefined if it holds nothing. */
  readonly ageMs: number | undefined;
}

/** Reads the text of an fdinfo; undefined if it is not a vector's. */
export function parseFdinfo(text: string): VectorInfo | undefined {
  const fields = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/^framevec-([a-z-]+):\t(.*)$/gm)) fields.set(name, value);
  if (!fields.has('id')) return undefined;
  const number = (name: string): number => Number(fields.get(name));
  const kind = KINDS.find(known => known === fields.get('kind'));
  return {
    id: number('id'),
    owner: number('owner'),
    capacity: number('capacity'),
    holding: kind && {
      kind,
      frames: number('frames'),
      offset: number('offset'),
      bytes: number('length'),
      write: number('write') === 1,
      gotRef: number('got-ref') === 1,
      stale: number('stale') === 1,
      ageMs: fields.has('age-ms') ? number('age-ms') : undefined,
    },
  };
}

/** The vector that is behind a descriptor of this process; undefined if /proc does not tell. */
export function ownFdinfo(fd: number): VectorInfo | undefined {
  try {
    return parseFdinfo(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  } catch {
    return undefined;
  }
}
