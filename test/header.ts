/** kmod/uapi/framevec.h, read as text: what the ABI's descriptions are held to. */
import {readFileSync} from 'node:fs';
import {PACKAGE_ROOT} from '../lib/package.js';

export const header = readFileSync(`${PACKAGE_ROOT}kmod/uapi/framevec.h`, 'utf8');

export interface Field {
  name: string;
  bytes: number;
  /** Written by the kernel and ignored on entry. */
  out: boolean;
}

export interface HeaderStruct {
  fields: Field[];
  ioctls: string[];
  /** The errnos that its comment has, besides those of every ioctl. */
  errnos: string[];
}

/** The structs of the header, with what their comments say of each field; and which ioctls take them. */
export function headerStructs(): Map<string, HeaderStruct> {
  const structs = new Map<string, HeaderStruct>();
  for (const [, comment = '', name = '', body = ''] of header.matchAll(/\/\*\*\n((?: \*.*\n)+?) \*\/\nstruct (\w+) \{\n([^}]*)\};/g)) {
    const fields = [...body.matchAll(/^\t(\w+) (\w+);$/mg)].map(([, type = '', field = '']) => ({
      name: field,
      bytes: type === '__aligned_u64' ? 8 : 4,
      out: new RegExp(`^ \\* @${field}: out:`, 'm').test(comment),
    }));
    const title = comment.slice(0, comment.indexOf(': '));
    structs.set(name, {
      fields,
      ioctls: title.match(/FRAMEVEC_IOC_\w+/g) ?? [],
      errnos: /^ \* Errors: ((?:.*\n)*)/m.exec(comment)?.[1]?.match(/\bE[A-Z0-9]{3,}\b/g) ?? [],
    });
  }
  return structs;
}
