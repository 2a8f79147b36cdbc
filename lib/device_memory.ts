import {addon, FIELD_VALUE_HIGH, FIELD_VALUE_LOW, MAP_READ, MAP_READ_WRITE, REFUSED_CLOSED, REFUSED_READ_ONLY} from './addon.js';
import {closed, invalidArgType, outOfRange, readOnly, registerUnaligned, unexpected} from './errors.js';
import {mapFile, RANGE_OPTIONS, type MapRange, type MapSource} from './map_file.js';
import {MappedMemory, ownContainer} from './mapped_memory.js';
import {checkOptions, enabled, type OptionNames} from './options.js';

/** Options of {@link DeviceMemory.map}. */
export interface DeviceMapOptions extends MapRange {
  /** For writing too. Default: `false`. */
  write?: boolean | undefined;
}

const MAP_OPTIONS: OptionNames<DeviceMapOptions> = {...RANGE_OPTIONS, write: true};

const {exchange, readRegister, writeRegister} = addon;

/**
 * Memory of a device, mapped shared: a PCI BAR (`/sys/bus/pci/devices/.../resource0`), /dev/fb0,
 * /dev/mem, or the module's own aperture (/dev/framevec). A vector that is given it gets kind
 * `'pfns'`: the frame numbers of this moment, **a snapshot and not a pin**.
 *
 * Registers go through the accessors: each is one aligned access of exactly its width, in the
 * machine's byte order. `bytes` and `buffer` are for bulk data: what JavaScript does with them the
 * engine may split, merge, repeat or leave out, and looking at them (`console.log`) reads them. A
 * store to `bytes` of memory that was mapped without `write` ends the process with SIGSEGV; an
 * access to a device that has gone, or to a file that was cut short, may end it with SIGBUS.
 */
export class DeviceMemory extends MappedMemory {
  /** Whether it was mapped for writing. */
  readonly writable: boolean;

  /**
   * Maps a part of a device.
   *
   * @param source - its file; or a descriptor, whose mode must allow for `write`
   * @param options - `length` may be left out for a PCI BAR and the aperture, which tell their size
   * @throws TypeError, RangeError - wrong arguments: an offset that is not a page's, a range that
   *   goes beyond the end of the file, no length where the device does not tell it
   * @throws FrameVectorError - what open() and mmap() say: `ENOENT`, `EACCES`; `EPERM` - the kernel
   *   keeps that part of /dev/mem to itself; `EINVAL`, `ENXIO` - not a range of this device, or a
   *   BAR that a driver has claimed; `ENODEV` - it can't be mapped, as a FIFO or directory;
   *   `ERR_FRAMEVEC_ARRAYBUFFER_LENGTH` - more than an ArrayBuffer of this Node can have. Of Node's own:
   *   `ERR_ACCESS_DENIED` (the permission model), `ERR_INVALID_ARG_VALUE` (a NUL byte in the path)
   */
  static map(source: MapSource, options: DeviceMapOptions = {}): DeviceMemory {
    checkOptions(options, MAP_OPTIONS);
    const write = enabled(options.write, 'write');
    return MappedMemory.adopt(mapFile(source, write ? MAP_READ_WRITE : MAP_READ, options), buffer => new DeviceMemory(buffer, write));
  }

  private constructor(buffer: ArrayBuffer, writable: boolean) {
    super(buffer);
    this.writable = writable;
  }

  /**
   * Reads one byte of a register.
   *
   * @param offset - in bytes; of all accessors a multiple of their width
   * @throws TypeError, RangeError - wrong offset
   * @throws FrameVectorError `ERR_FRAMEVEC_CLOSED`
   */
  readUint8(offset: number): number {
    this.#read(offset, 1);
    return exchange[FIELD_VALUE_LOW];
  }

  /** Reads 16 bits at once; otherwise as {@link readUint8}. */
  readUint16(offset: number): number {
    this.#read(offset, 2);
    return exchange[FIELD_VALUE_LOW];
  }

  /** Reads 32 bits at once; otherwise as {@link readUint8}. */
  readUint32(offset: number): number {
    this.#read(offset, 4);
    return exchange[FIELD_VALUE_LOW];
  }

  /** Reads 64 bits at once; otherwise as {@link readUint8}. */
  readUint64(offset: number): bigint {
    this.#read(offset, 8);
    return (BigInt(exchange[FIELD_VALUE_HIGH]) << 32n) | BigInt(exchange[FIELD_VALUE_LOW]);
  }

  /**
   * Writes one byte of a register.
   *
   * @param offset - in bytes; of all accessors a multiple of their width
   * @throws TypeError, RangeError - wrong offset or value
   * @throws FrameVectorError `ERR_FRAMEVEC_READ_ONLY` - mapped without `write`;
   *   `ERR_FRAMEVEC_CLOSED`
   */
  writeUint8(offset: number, value: number): void {
    this.#write(offset, 1, value);
  }

  /** Writes 16 bits at once; otherwise as {@link writeUint8}. */
  writeUint16(offset: number, value: number): void {
    this.#write(offset, 2, value);
  }

  /** Writes 32 bits at once; otherwise as {@link writeUint8}. */
  writeUint32(offset: number, value: number): void {
    this.#write(offset, 4, value);
  }

  /** Writes 64 bits at once; otherwise as {@link writeUint8}. */
  writeUint64(offset: number, value: bigint): void {
    if (typeof value !== 'bigint') throw invalidArgType('value', 'of type bigint', value);
    if (BigInt.asUintN(64, value) !== value) throw outOfRange('value', '>= 0n && < 2n ** 64n', value);
    this.#store(offset, 8, Number(value & 0xffff_ffffn), Number(value >> 32n));
  }

  #read(offset: number, width: number): void {
    this.#checkOffset(offset, width);
    const answer = readRegister(ownContainer(this).region, offset, width);
    if (answer < 0) throw this.#refused(answer);
  }

  #write(offset: number, width: number, value: number): void {
    if (typeof value !== 'number') throw invalidArgType('value', 'of type number', value);
    const most = 2 ** (8 * width) - 1;
    if (!Number.isInteger(value) || value < 0 || value > most) throw outOfRange('value', `an integer >= 0 && <= ${most}`, value);
    this.#store(offset, width, value, 0);
  }

  #store(offset: number, width: number, low: number, high: number): void {
    this.#checkOffset(offset, width);
    exchange[FIELD_VALUE_LOW] = low;
    exchange[FIELD_VALUE_HIGH] = high;
    const answer = writeRegister(ownContainer(this).region, offset, width);
    if (answer < 0) throw this.#refused(answer);
  }

  #checkOffset(offset: number, width: number): void {
    if (this.closed) throw closed('DeviceMemory');
    if (typeof offset !== 'number') throw invalidArgType('offset', 'of type number', offset);
    const last = this.byteLength - width;
    if (!Number.isInteger(offset) || offset < 0 || offset > last) throw outOfRange('offset', `an integer >= 0 && <= ${last}`, offset);
    if (offset % width !== 0) throw registerUnaligned(offset, width);
  }

  #refused(answer: number): Error {
    if (answer === REFUSED_CLOSED) return closed('DeviceMemory');
    return answer === REFUSED_READ_ONLY ? readOnly() : unexpected('register', answer);
  }

  /** @internal */
  protected override shown(): object {
    return {byteLength: this.byteLength, writable: this.writable};
  }
}
