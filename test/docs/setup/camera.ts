/** A video device with room for one buffer: vivid's, that test/run.ts has the VM load. */
import {V4l2Device} from '../../../lib/index.js';

export const camera = V4l2Device.open('/dev/video0');
camera.reqbufs(1);
