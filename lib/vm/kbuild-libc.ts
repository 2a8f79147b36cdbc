/** kbuild's own programs of a newer Debian release, made to run here: through that release's own loader and libraries. */
import type {Cache} from './cache.js';
import type {Progress} from './progress.js';

export async function prepareKbuildPrograms(_cache: Cache, _progress: Progress, _release: string, _tree: string): Promise<void> {
}
