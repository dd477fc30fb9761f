/** bpf(2): E2BIG when a hash is at max_entries, ENOSPC for a trie, ENOMEM for either. */
export function isFull(error: unknown): boolean {
  return ['E2BIG', 'ENOSPC', 'ENOMEM'].includes((error as NodeJS.ErrnoException).code ?? '');
}
