/** An edge to cut, and what that comes to. */
export interface Cut<Edge> {
  readonly edge: Edge;
  /** How many of the cycles it breaks that no cut before it does. */
  readonly breaks: number;
}

/**
 * Edges to cut so that no cycle is left, the cheapest first. The cheapest is the one that breaks the most of the
 * cycles that are left; among equals the one that some cycle has soonest after what is deployed, since whoever
 * deploys can cut it; then the one listed first.
 *
 * @param cycles The edges of each that can be cut, from what is deployed on.
 */
export function cheapestCuts<Edge>(
  cycles: readonly (readonly Edge[])[],
  keyOf: (edge: Edge) => string,
): Cut<Edge>[] {
  const cuts: Cut<Edge>[] = [];
  let left = cycles.filter((edges) => edges.length > 0);
  while (left.length > 0) {
    const cut = cheapest(left, keyOf);
    if (!cut) break;
    cuts.push(cut);
    const key = keyOf(cut.edge);
    left = left.filter((edges) => !edges.some((edge) => keyOf(edge) === key));
  }
  return cuts;
}

function cheapest<Edge>(
  cycles: readonly (readonly Edge[])[],
  keyOf: (edge: Edge) => string,
): Cut<Edge> | null {
  const candidates = new Map<string, { edge: Edge; breaks: number; soonest: number }>();
  for (const edges of cycles)
    for (const [position, edge] of edges.entries()) {
      const known = candidates.get(keyOf(edge));
      const { breaks, soonest } = known ?? { breaks: 0, soonest: position };
      candidates.set(keyOf(edge), { edge, breaks: breaks + 1, soonest: Math.min(soonest, position) });
    }
  let best: { edge: Edge; breaks: number; soonest: number } | null = null;
  for (const candidate of candidates.values())
    if (
      !best ||
      candidate.breaks > best.breaks ||
      (candidate.breaks === best.breaks && candidate.soonest < best.soonest)
    )
      best = candidate;
  return best && { edge: best.edge, breaks: best.breaks };
}
