/** Frames as pictures: for a person to look at. */
import {PNG} from 'pngjs';
import {noPicture} from './errors.js';
import type {V4l2Format} from './device.js';

/** A frame's first plane, as red, green, blue and alpha: a byte each. */
type Convert = (bytes: Uint8Array, stride: number, rgba: Uint8Array, width: number, height: number) => void;

/** Two pixels in four bytes: luma, blue, luma, red. ITU-R 601, 16 to 235, as V4L2's default is. */
const yuyv: Convert = (bytes, stride, rgba, width, height) => {
  let out = 0;
  for (let line = 0; line < height; line++) {
    for (let x = 0; x < width; x++) {
      const pair = line * stride + (x >> 1) * 4;
      const y = 1.164 * ((bytes[pair + (x & 1) * 2] ?? 16) - 16);
      const u = (bytes[pair + 1] ?? 128) - 128;
      const v = (bytes[pair + 3] ?? 128) - 128;
      rgba[out++] = clamp(y + 1.596 * v);
      rgba[out++] = clamp(y - 0.392 * u - 0.813 * v);
      rgba[out++] = clamp(y + 2.017 * u);
      rgba[out++] = 255;
    }
  }
};

/** Bytes of red, green and blue, one after the other. */
const rgb3: Convert = (bytes, stride, rgba, width, height) => {
  let out = 0;
  for (let line = 0; line < height; line++) {
    for (let x = 0; x < width; x++) {
      const at = line * stride + x * 3;
      rgba[out++] = bytes[at] ?? 0;
      rgba[out++] = bytes[at + 1] ?? 0;
      rgba[out++] = bytes[at + 2] ?? 0;
      rgba[out++] = 255;
    }
  }
};

const CONVERTERS: Readonly<Record<string, Convert>> = {YUYV: yuyv, RGB3: rgb3};

/**
 * Converts a frame to red, green, blue and alpha.
 *
 * @throws FrameVectorError `ERR_FRAMEVEC_NO_PICTURE` - the format is neither YUYV nor RGB3
 */
export function toRgba(format: V4l2Format, bytes: Uint8Array): Uint8Array {
  const {width, height, fourcc} = format;
  const convert = CONVERTERS[fourcc];
  if (convert === undefined) throw noPicture(fourcc, Object.keys(CONVERTERS));
  const rgba = new Uint8Array(width * height * 4);
  convert(bytes, format.planes[0]?.stride ?? 0, rgba, width, height);
  return rgba;
}

/** A frame as a PNG file. */
export function toPng(format: V4l2Format, bytes: Uint8Array): Buffer {
  const png = new PNG({width: format.width, height: format.height});
  png.data = Buffer.from(toRgba(format, bytes).buffer);
  return PNG.sync.write(png, {colorType: 2});
}

function clamp(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value)));
}
