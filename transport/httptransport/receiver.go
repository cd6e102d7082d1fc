package httptransport

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rads-project/constellation/transport/internal/outbox"
	"github.com/rads-project/constellation/transport/internal/wire"
)

// A rejection is an answer other than 204.
type rejection struct {
	status int
	text   string
	// reason is the counter; nil: not counted.
	reason *uint64
}

// ServeHTTP receives the frames of one request and gives them to the handler
// of Serve. It answers 204, or why it refuses the request; see the package
// documentation for the codes.
func (t *Transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	no := t.serve(w, r)
	if no == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if no.reason != nil {
		t.mu.Lock()
		*no.reason++
		t.mu.Unlock()
		t.refusals.Refused(&t.refused, no.reason, r.RemoteAddr)
	}
	// What is left of a refused body is not worth reading.
	w.Header().Set("Connection", "close")
	http.Error(w, no.text, no.status)
}

func (t *Transport) serve(w http.ResponseWriter, r *http.Request) *rejection {
	peer, no := t.judge(r)
	if no != nil {
		return no
	}
	if !t.enter(peer.Name) {
		return &rejection{http.StatusServiceUnavailable, "too many requests at once", &t.refused.Busy}
	}
	defer t.leave(peer.Name)
	peer.RetryHint.Give()
	return t.receive(w, r, peer)
}

// judge decides by the headers alone whether a request is accepted.
func (t *Transport) judge(r *http.Request) (*outbox.Peer, *rejection) {
	// The sender proves its name first: any other answer would tell a stranger
	// which cluster and which member are here.
	from, errFrom := url.QueryUnescape(r.Header.Get(headerFrom))
	if !t.authentic(r, from) {
		return nil, &rejection{http.StatusForbidden, "sender not authenticated", &t.refused.Sender}
	}
	if r.Method != http.MethodPost {
		return nil, &rejection{http.StatusMethodNotAllowed, "only POST", &t.refused.Handshake}
	}
	version, err := strconv.Atoi(r.Header.Get(headerVersion))
	if err != nil {
		return nil, &rejection{http.StatusBadRequest, "no introduction", &t.refused.Handshake}
	}
	if version != wire.Version {
		return nil, &rejection{http.StatusBadRequest, "unknown version", &t.refused.Version}
	}
	cluster, errCluster := url.QueryUnescape(r.Header.Get(headerCluster))
	to, errTo := url.QueryUnescape(r.Header.Get(headerTo))
	if errors.Join(errCluster, errFrom, errTo) != nil {
		return nil, &rejection{http.StatusBadRequest, "garbled introduction", &t.refused.Handshake}
	}
	if cluster != t.cfg.Cluster {
		return nil, &rejection{http.StatusMisdirectedRequest, "other cluster", &t.refused.Cluster}
	}
	if to != t.cfg.Name {
		return nil, &rejection{http.StatusMisdirectedRequest, "other receiver", &t.refused.Receiver}
	}
	peer := t.roster.Peer(from)
	if peer == nil {
		return nil, &rejection{http.StatusForbidden, "unknown sender", &t.refused.Sender}
	}
	return peer, nil
}

// authentic reports whether r proves that from has sent it.
func (t *Transport) authentic(r *http.Request, from string) bool {
	if t.cfg.Insecure {
		return true
	}
	name, err := t.cfg.Authenticate(r)
	return err == nil && name == from
}

// enter counts a request of the peer name among those being answered, unless
// there are too many.
func (t *Transport) enter(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests[name] == requestsPerPeer {
		return false
	}
	t.requests[name]++
	return true
}

func (t *Transport) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests[name]--; t.requests[name] == 0 {
		delete(t.requests, name)
	}
}

// receive gives the frames in the body of r to the handler.
func (t *Transport) receive(w http.ResponseWriter, r *http.Request, peer *outbox.Peer) *rejection {
	// Servers that know no deadlines have their own way to bound a request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	frames := wire.NewReader(http.MaxBytesReader(w, r.Body, int64(t.cfg.bodyLimit())), t.cfg.MaxFrame)
	for {
		kind, frame, err := frames.Next()
		var tooLong *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, wire.ErrTooLong) || errors.As(err, &tooLong):
			return &rejection{http.StatusRequestEntityTooLarge, "frame or body too long", &t.refused.Frame}
		case errors.Is(err, wire.ErrBroken) || err == nil && kind != wire.Data:
			return &rejection{http.StatusBadRequest, "broken frame", &t.refused.Frame}
		case err != nil:
			return &rejection{http.StatusBadRequest, "body cut short", nil}
		case !t.give(peer.Name, frame):
			return &rejection{http.StatusServiceUnavailable, "not serving", nil}
		}
		peer.Out.Received()
	}
}
