/** Errnos: their names, and what they mean where no call has better words. */
import {getSystemErrorMap, getSystemErrorName} from 'node:util';

// libuv does not know some, and has another name for EOPNOTSUPP.
const NAMES = new Map([
  [-16, 'EBUSY'],
  [-52, 'EBADE'],
  [-95, 'EOPNOTSUPP'],
  [-116, 'ESTALE'],
  [-125, 'ECANCELED'],
  [-133, 'EHWPOISON'],
]);

/** The name of a negative errno. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? getSystemErrorName(errno);
}

/** Words by the name of an errno. */
export type ErrnoWords = Readonly<Record<string, string | undefined>>;

const USUAL: ErrnoWords = {
  E2BIG: 'the addon and the kernel disagree about the size of an argument: use the module of this package',
  EACCES: 'this user has no permission',
  EAGAIN: 'the resource is busy for the moment: try again',
  EBADF: 'the descriptor is not open, or not open for this access',
  EBUSY: 'something else is using it at the moment',
  EFAULT: 'the memory is not mapped, or not for this access',
  EINTR: 'a signal interrupted it: try again',
  EINVAL: 'the kernel rejected the arguments',
  EIO: 'the device or file system failed (input/output error): see the kernel log (`dmesg`)',
  EISDIR: 'the path is that of a directory',
  ELOOP: 'the path has too many symbolic links, or they form a loop',
  EMFILE: 'this process has too many open files: close some, or raise `ulimit -n`',
  ENAMETOOLONG: 'the path is too long',
  ENFILE: 'the system has too many open files: close some, or raise fs.file-max',
  ENODEV: 'there is no such device, or its driver does not support this',
  ENOENT: 'there is no such file',
  ENOMEM: 'the kernel has no memory for it',
  ENOSPC: 'there is no space left',
  ENOSYS: 'this kernel does not have the system call',
  ENOTDIR: 'a part of the path is not a directory',
  ENOTTY: 'the file does not support this request',
  ENXIO: 'there is no device behind the file',
  EOPNOTSUPP: 'the kernel or the driver does not support it',
  EOVERFLOW: 'a number is too large for the kernel',
  EPERM: 'this user may not do that',
  EROFS: 'the file system is mounted read-only',
  ETXTBSY: 'the file is a program that is running',
};

/**
 * What an errno means: in the words of the call that failed, or else in the usual ones with its name.
 */
export function errnoInWords(errno: number, words: ErrnoWords = {}): string {
  const name = errnoName(errno);
  const own = words[name];
  if (own !== undefined) return own;
  const usual = USUAL[name] ?? getSystemErrorMap().get(errno)?.[1] ?? 'an errno that this library does not know';
  return `${usual} (${name})`;
}
