package raft

import "fmt"

// StartState returns the state that a node begins a run with: what its store
// holds or, as cfg.Start says, a new one under the identity fresh (rule 16 of
// PROTOCOL.md). Its incarnation is counted up (rule 15), so it is to be saved
// before NewCore.
//
// It fails with ErrConfig, with ErrNoState if there is nothing to resume, and
// with ErrForeign if the state is another node's.
func StartState(cfg Config, found StoredState, fresh StoreID) (HardState, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return HardState{}, err
	}
	state := found.State.Clone()
	switch {
	case found.Found && (state.Cluster != cfg.Cluster || state.Node != cfg.ID):
		return HardState{}, &StoreError{
			Reason: ErrForeign,
			Detail: fmt.Sprintf("it is of node %q in cluster %q", state.Node, state.Cluster),
		}
	case !found.Found && cfg.Start.mode == startResume:
		return HardState{}, &StoreError{Reason: ErrNoState}
	case !found.Found && fresh == StoreID{}:
		return HardState{}, fmt.Errorf("%w: a store identity of zero", ErrConfig)
	case !found.Found:
		state.Identity = Identity{Cluster: cfg.Cluster, Node: cfg.ID, StoreID: fresh}
	}
	if state.Configuration.IsZero() && cfg.Start.mode == startBootstrap {
		first, err := NewConfiguration(cfg.Start.members...)
		if err != nil {
			return HardState{}, err
		}
		state.Configuration = first
		state.Term = max(state.Term, cfg.Start.minTerm)
	}
	state.Incarnation++
	return state, nil
}
