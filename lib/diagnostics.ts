/**
 * What happens to vectors, for who listens by node:diagnostics_channel: tracing, metrics, a test. A
 * channel that nobody listens to costs one look; its message is not even made.
 */
import {channel} from 'node:diagnostics_channel';
import {FRAMEVEC_PIN_FORCE, FRAMEVEC_PIN_PARTIAL, FRAMEVEC_PIN_WRITE, type Kind, type Reason} from './uapi.js';
import type {FrameVector} from './frame_vector.js';

/** What a vector holds or held, in each of the messages. */
export interface HeldMessage {
  /** The vector's descriptor, by which /proc/self/fdinfo and the tracepoints know it. */
  readonly fd: number;
  readonly kind: Kind;
  readonly frames: number;
  /** The address of the first byte. */
  readonly address: number;
  /** Bytes from the start of the first frame to the first byte. */
  readonly offset: number;
  /** Bytes held. */
  readonly byteLength: number;
}

/** Channel `framevec:pin`: frames are held. */
export interface PinMessage extends HeldMessage {
  readonly vector: FrameVector;
  readonly write: boolean;
  readonly force: boolean;
  readonly partial: boolean;
  /** With `partial`: why it stopped early. */
  readonly stopped: Reason | undefined;
  /** Nanoseconds in get_user_pages() and in the whole call, if pin() was called with `timing`. */
  readonly gupNs: number | undefined;
  readonly callNs: number | undefined;
}

/** Channel `framevec:pin` as well: the kernel, or the addon, has refused. Nothing is held. */
export interface PinErrorMessage {
  readonly vector: FrameVector;
  /** What pin() throws, or pinAsync() rejects with. */
  readonly error: Error;
}

/** Channel `framevec:unpin`: frames were let go, by unpin() or close(). */
export interface UnpinMessage extends HeldMessage {
  readonly vector: FrameVector;
  /** By close(). */
  readonly closed: boolean;
}

/**
 * Channel `framevec:stale`: the mapping of a snapshot has changed. Told of snapshots that were taken
 * while somebody listened, and of those whose {@link FrameVector.staleSignal} was asked for.
 */
export interface StaleMessage extends HeldMessage {
  /** Undefined if it has been collected. */
  readonly vector: FrameVector | undefined;
}

/** @internal `hasSubscribers` is to be asked before a message is made. */
export const pinChannel = channel('framevec:pin');
/** @internal */
export const unpinChannel = channel('framevec:unpin');
/** @internal */
export const staleChannel = channel('framevec:stale');

/** @internal What the vector holds now. */
export function held(vector: FrameVector): HeldMessage {
  const {fd, kind, frames, address, offset, byteLength} = vector;
  return {fd, kind, frames, address, offset, byteLength};
}

/** @internal */
export function publishPin(vector: FrameVector, flags: number, timed: boolean): void {
  const {stopped, timing} = vector;
  const message: PinMessage = {
    vector,
    ...held(vector),
    write: (flags & FRAMEVEC_PIN_WRITE) !== 0,
    force: (flags & FRAMEVEC_PIN_FORCE) !== 0,
    partial: (flags & FRAMEVEC_PIN_PARTIAL) !== 0,
    stopped: stopped?.reason,
    gupNs: timed ? timing?.gupNs : undefined,
    callNs: timed ? timing?.callNs : undefined,
  };
  pinChannel.publish(message);
}

/** @internal */
export function publishPinError(vector: FrameVector, error: Error): void {
  const message: PinErrorMessage = {vector, error};
  pinChannel.publish(message);
}

/** @internal What to call when it goes stale. It does not keep the vector from being collected. */
export function stalePublisher(vector: FrameVector): () => void {
  const reference = new WeakRef(vector);
  const was = held(vector);
  return () => {
    if (!staleChannel.hasSubscribers) return;
    const message: StaleMessage = {vector: reference.deref(), ...was};
    staleChannel.publish(message);
  };
}
