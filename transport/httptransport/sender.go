package httptransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rads-project/constellation/transport/internal/outbox"
	"github.com/rads-project/constellation/transport/internal/wire"
)

// Headers of a request. Names are query-escaped.
const (
	headerVersion = "Constellation-Version"
	headerCluster = "Constellation-Cluster"
	headerFrom    = "Constellation-From"
	headerTo      = "Constellation-To"
)

// A sender posts to one peer what its outbox holds.
type sender struct {
	t    *Transport
	peer *outbox.Peer
	log  *outbox.PeerLog
}

// run posts until ctx ends.
func (s *sender) run(ctx context.Context) {
	out := s.peer.Out
	backoff := outbox.NewBackoff(s.t.cfg.Name, s.peer.Name)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				out.Connected()
			}
		},
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-out.Ready():
		}
		// A body of its own for each request: an HTTP client may read it
		// beyond the answer.
		body, n := out.Take(nil, time.Now(), batchSize)
		if n == 0 {
			continue
		}
		s.peer.RetryHint.Forget() // What matters is a sign of life after this.
		start := time.Now()
		if err := s.post(ctx, body); err != nil {
			out.Lost(n)
			if ctx.Err() == nil {
				out.Failed(err)
				s.log.Failed(err)
				s.log.Look(out.Expired(time.Now()))
			}
			s.peer.Pause(ctx, backoff)
			continue
		}
		out.Sent(n)
		out.Reached()
		s.log.Reached()
		s.log.Look(out.Expired(time.Now()))
		out.RoundTrip(time.Since(start))
		backoff.Reset()
	}
}

// post makes one request.
func (s *sender) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.peer.Address(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("httptransport: %w", err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set(headerVersion, strconv.Itoa(wire.Version))
	req.Header.Set(headerCluster, url.QueryEscape(s.t.cfg.Cluster))
	req.Header.Set(headerFrom, url.QueryEscape(s.t.cfg.Name))
	req.Header.Set(headerTo, url.QueryEscape(s.peer.Name))
	resp, err := s.t.client.Do(req)
	if err != nil {
		return fmt.Errorf("httptransport: %w", err)
	}
	// The connection is reused only after the end of the body, which a peer
	// must not draw out.
	text, err := io.ReadAll(io.LimitReader(resp.Body, 512))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("httptransport: %w", err)
	}
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("httptransport: %q answered %s: %s", s.peer.Name, resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
