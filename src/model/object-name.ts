/** The grammar of the names of services and deployments, and of rule ids (ids may have capitals). */
export const OBJECT_NAME = /^[a-z0-9][a-z0-9._-]*$/;

/** The longest name of a service or deployment. */
export const LONGEST_OBJECT_NAME = 128;
