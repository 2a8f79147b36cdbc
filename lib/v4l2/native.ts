/** The addon's half for video devices. Its numbers are those of native/v4l2.h and <linux/videodev2.h>; a test compares them. */
import {addon, type Addon} from '../addon.js';

/** Indices into {@link NativeV4l2.exchange}. */
export const FIELD_CAPABILITIES = 0;
export const FIELD_VERSION = 1;
export const FIELD_FOURCC = 2;
export const FIELD_FLAGS = 3;
export const FIELD_WIDTH = 4;
export const FIELD_HEIGHT = 5;
export const FIELD_FIELD_ORDER = 6;
export const FIELD_COLORSPACE = 7;
export const FIELD_NUMERATOR = 8;
export const FIELD_DENOMINATOR = 9;
export const FIELD_SEQUENCE = 10;
export const FIELD_TIMESTAMP_US = 11;
export const FIELD_PLANES = 12;
/** After a `queue` that failed: 1 if the driver has pinned the memory all the same. */
export const FIELD_TAKEN = 13;
/** The first of those that are there for each plane, {@link PLANE_FIELDS} apart. */
export const FIELD_PLANE_BYTES = 14;
export const FIELD_PLANE_STRIDE = 15;
export const FIELD_PLANE_BYTES_USED = 16;
export const FIELD_PLANE_ADDRESS = 17;
export const FIELD_PLANE_REGION = 18;

export const PLANE_FIELDS = 5;

/** Flags of `queue`. */
export const QUEUE_UNALIGNED = 1;
export const QUEUE_LOOSE = 2;

/** Arguments of `text`. */
export const TEXT_DRIVER = 0;
export const TEXT_CARD = 1;
export const TEXT_BUS = 2;
export const TEXT_DESCRIPTION = 3;

export const V4L2_BUF_TYPE_VIDEO_CAPTURE = 1;
export const V4L2_BUF_TYPE_VIDEO_OUTPUT = 2;
export const V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE = 9;
export const V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE = 10;
export const V4L2_CAP_VIDEO_CAPTURE = 0x0000_0001;
export const V4L2_CAP_VIDEO_OUTPUT = 0x0000_0002;
export const V4L2_CAP_VIDEO_CAPTURE_MPLANE = 0x0000_1000;
export const V4L2_CAP_VIDEO_OUTPUT_MPLANE = 0x0000_2000;
export const V4L2_CAP_VIDEO_M2M_MPLANE = 0x0000_4000;
export const V4L2_CAP_VIDEO_M2M = 0x0000_8000;
export const V4L2_CAP_STREAMING = 0x0400_0000;
export const V4L2_FMT_FLAG_COMPRESSED = 0x0001;
export const V4L2_FMT_FLAG_EMULATED = 0x0002;
export const V4L2_BUF_FLAG_ERROR = 0x0040;
export const V4L2_FIELD_ANY = 0;
export const VIDEO_MAX_FRAME = 32;
export const VIDEO_MAX_PLANES = 8;

/**
 * The functions of the addon's `v4l2`. They answer with a number: zero or more is success, less is
 * -errno or one of `REFUSED_` of lib/addon.ts. What else there is to tell is in `exchange`.
 */
export interface NativeV4l2 {
  readonly exchange: Float64Array;
  readonly fields: Readonly<Record<string, number>>;
  readonly planeFields: number;
  /** Constants of the header that the addon was built with. */
  readonly header: Readonly<Record<string, number>>;
  readonly open: (path: string) => number;
  readonly close: (handle: number) => number;
  readonly queryCapabilities: (handle: number) => number;
  readonly enumFormat: (handle: number, type: number, index: number) => number;
  readonly getFormat: (handle: number, type: number) => number;
  readonly setFormat: (handle: number, type: number) => number;
  readonly setInterval: (handle: number, type: number) => number;
  readonly requestBuffers: (handle: number, type: number, count: number) => number;
  readonly queue: (handle: number, type: number, index: number, flags: number, ...planes: ArrayBufferView[]) => number;
  readonly dequeue: (handle: number, type: number) => number;
  readonly stream: (handle: number, type: number, on: 0 | 1) => number;
  /** Calls `ready` once, with 0 or, where the device says to poll() that there is an error, less. */
  readonly wait: (handle: number, output: 0 | 1, ready: (status: number) => void) => number;
  /** What `queryCapabilities` and `enumFormat` told in words. */
  readonly text: (which: number) => string;
}

export const {v4l2} = addon as Addon & {readonly v4l2: NativeV4l2};

/** A field of the exchange, for a plane the plane's. */
export function field(index: number, plane = 0): number {
  return v4l2.exchange[index + plane * PLANE_FIELDS] ?? 0;
}

export function setField(index: number, value: number, plane = 0): void {
  v4l2.exchange[index + plane * PLANE_FIELDS] = value;
}
