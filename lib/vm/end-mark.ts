/** Passes a stream on up to the mark that ends it; what follows the mark is nobody's. */
export class EndMark {
  private held = Buffer.alloc(0);
  private readonly mark: Buffer;
  found = false;

  constructor(mark: string) {
    this.mark = Buffer.from(mark);
  }

  /** What of the stream so far may be passed on: everything but a tail that could be the mark's beginning. */
  push(chunk: Buffer): Buffer {
    if (this.found) {
      return Buffer.alloc(0);
    }
    const data = Buffer.concat([this.held, chunk]);
    const at = data.indexOf(this.mark);
    if (at >= 0) {
      this.found = true;
      this.held = Buffer.alloc(0);
      return data.subarray(0, at);
    }
    const keep = this.beginningAtEnd(data);
    this.held = data.subarray(data.length - keep);
    return data.subarray(0, data.length - keep);
  }

  /** The stream ended without the mark: the tail was the command's own after all. */
  rest(): Buffer {
    const rest = this.held;
    this.held = Buffer.alloc(0);
    return rest;
  }

  private beginningAtEnd(data: Buffer): number {
    for (let length = Math.min(this.mark.length - 1, data.length); length > 0; length--) {
      if (data.subarray(data.length - length).equals(this.mark.subarray(0, length))) {
        return length;
      }
    }
    return 0;
  }
}
