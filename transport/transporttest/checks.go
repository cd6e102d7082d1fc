package transporttest

import "slices"

// checks returns the cases in the order of the contract's rules.
func checks() []check {
	return slices.Concat(frameChecks(), errorChecks(), lifetimeChecks())
}

// frameChecks are of rules 1 to 6.
func frameChecks() []check {
	return []check{
		{
			"Intact",
			"A frame arrives intact or not at all, whatever its length up to the limit, the empty one included, " +
				"and it does not change while the handler has it (rule 1).",
			intact,
		},
		{
			"SenderAndReceiver",
			"The handler sees the name of the member that sent the frame, and a frame reaches only the member " +
				"that it was sent to (rule 2).",
			everyoneToEveryone,
		},
		{
			"SendCopies",
			"Send copies the frame: what the caller does to its slice afterwards does not show (rule 3).",
			sendCopies,
		},
		{
			"SendNeverBlocks",
			"Send does not wait for a peer whose handler does not return (rule 3).",
			sendNeverBlocks,
		},
		{
			"SlowPeerDelaysNobody",
			"While one peer's handler does not return, frames to and from the others arrive (rule 4).",
			slowPeerDelaysNobody,
		},
		{
			"BoundedAndNewestFirst",
			"What waits for a peer is bounded, and when the peer goes on it gets news, not all of the history (rule 5).",
			bounded,
		},
		{
			"HandlerMaySend",
			"The handler may call Send, also to the peer that it hears from (rule 6).",
			handlerMaySend,
		},
		{
			"ConcurrentUse",
			"Send may be called from many goroutines at once, to several peers, while frames arrive.",
			concurrentUse,
		},
	}
}

// errorChecks are of what Send answers.
func errorChecks() []check {
	return []check{
		{
			"UnknownPeer",
			"Send to a name that is no peer, or to oneself, answers ErrUnknownPeer.",
			unknownPeer,
		},
		{
			"TooLarge",
			"Send of a frame beyond the limit answers ErrTooLarge, and the limit itself is allowed.",
			tooLarge,
		},
		{
			"SendBeforeServe",
			"Send may be called before Serve: nil means queued, nothing more.",
			sendBeforeServe,
		},
	}
}

// lifetimeChecks are of rule 7, and of a member's next life.
func lifetimeChecks() []check {
	return []check{
		{
			"ServeWaitsForHandlers",
			"Serve returns once its context has ended and the running handlers have returned, not before (rule 7).",
			serveWaitsForHandlers,
		},
		{
			"NoHandlerAfterTheEnd",
			"Once Serve has returned, no handler runs, though others go on sending (rule 7).",
			noHandlerAfterTheEnd,
		},
		{
			"ClosedAfterServe",
			"Once Serve has returned, Send and another Serve answer ErrClosed (rule 7).",
			closedAfterServe,
		},
		{
			"ServedOnce",
			"While Serve runs, another Serve answers ErrClosed at once and takes nothing from the first (rule 7).",
			servedOnce,
		},
		{
			"EndsDespiteSlowPeer",
			"Serve returns when its context ends, also while a peer takes nothing (rules 4 and 7).",
			endsDespiteSlowPeer,
		},
		{
			"MemberRestarts",
			"A member that ends and joins again under its name sends and receives as before, and the others " +
				"need not do anything about it.",
			memberRestarts,
		},
	}
}
