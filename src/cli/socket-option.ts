import { Option } from 'commander';

/** Where the daemon is asked. */
export const SOCKET_OPTION = new Option(
  '--socket <path>',
  'of the daemon: $ACYCLIC_SOCKET, or /run/acyclic/acyclic.sock',
);
