/** Where the policy of a host is installed: what holds when none is given. */
export const INSTALLED = '/etc/acyclic';
