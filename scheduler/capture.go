package scheduler

import "context"

// captured returns parts of the present state, once that is durable.
func (s *view) captured(ctx context.Context, p parts) (*capture, error) {
	c, err := s.capture(ctx, p)
	if err != nil {
		return nil, err
	}
	// Not before others may begin one: a hook that is called here may do so.
	s.mu.Lock()
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// capture captures the present state, in turns, and waits for nothing but
// another capture.
func (s *view) capture(ctx context.Context, p parts) (*capture, error) {
	select {
	case s.capturing <- struct{}{}:
		defer func() { <-s.capturing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	c := s.state.capture(s.now, p)
	s.mu.Unlock()
	defer s.endCapture(c)
	for more := true; more; {
		if err := s.turn(ctx, func() { more = c.of.captureSome(c, captureTurn) }); err != nil {
			return nil, err
		}
	}
	return c, nil
}
