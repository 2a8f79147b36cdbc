/** What is said of a peer that this kernel lacks, or that fails while it is measured. */
import {getSystemErrorMap} from 'node:util';
import {errnoName} from '../errno.js';
import {FrameVectorError} from '../errors.js';

/** In words: `ENODEV (no such device)`. */
function errnoInWords(errno: number): string {
  const known = getSystemErrorMap().get(errno);
  return known === undefined ? errnoName(errno) : `${known[0]} (${known[1]})`;
}

/** The call that said no, and what would help. */
export function peerAbsence(step: string, errno: number, remedy: string | undefined): string {
  return `${step}: ${errnoInWords(errno)}${remedy === undefined ? '' : `; ${remedy}`}`;
}

/** No peers.node, or one that does not load. */
export function peersNotBuilt(cause: unknown): string {
  const tries = (cause as {tries?: unknown} | null)?.tries;
  if (Array.isArray(tries)) return 'native/peers is not built: `npx node-gyp rebuild -C native/peers`, or `make bench` in a checkout';
  return `native/peers does not load: ${cause instanceof Error ? cause.message : String(cause)}`;
}

/** A call that went well before does no more. */
export function peerFailed(peer: string, step: string, errno: number): FrameVectorError {
  return new FrameVectorError(`bench: ${peer}: ${step}: ${errnoInWords(errno)}`, {code: errnoName(errno), errno, syscall: step});
}

/** A session of a peer that is closed. */
export function peerClosed(peer: string): FrameVectorError {
  return new FrameVectorError(`bench: the session of ${peer} is closed`, {code: 'ERR_FRAMEVEC_CLOSED'});
}
