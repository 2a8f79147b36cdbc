/** Memory for a frame of the camera's, or for anything else. */
import {FrameVector} from '../../../lib/index.js';

export const memory = FrameVector.alloc(2 ** 20);
