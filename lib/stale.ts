/** Snapshots that go stale: the kernel wakes the event loop, and a signal tells. */
import {addon, REFUSED_LOST} from './addon.js';
import {descriptorLost, unexpected, vectorFailed} from './errors.js';

const ESTALE = -116;

/** The error of a vector that is stale. */
export function staleError(): Error {
  return vectorFailed('poll', ESTALE);
}

/** A signal that is aborted when the vector goes stale; `told` is called before. */
export function watchStale(handle: number, told: () => void): AbortSignal {
  const controller = new AbortController();
  const answer = addon.watch(handle, status => {
    if (status >= 0) told();
    controller.abort(status < 0 ? unexpected('poll', status) : staleError());
  });
  if (answer === REFUSED_LOST) throw descriptorLost('staleSignal', 'FrameVector', 'poll');
  if (answer < 0) throw answer < -4095 ? unexpected('poll', answer) : vectorFailed('poll', answer);
  return controller.signal;
}
