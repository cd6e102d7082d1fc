package httptransport_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/transport/httptransport"
)

// A peer that comes and goes is a line each, however many requests there were.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		answer := errors.New("down")
		tr := newTransport(t, func(cfg *httptransport.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
			cfg.Client = &http.Client{Transport: roundTrip(func() error { return answer })}
		})
		take := func() []string {
			synctest.Wait()
			defer text.Reset()
			return regexp.MustCompile(`msg="[^"]*"|reason="[^"]*"`).FindAllString(text.String(), -1)
		}
		ctx, end := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- tr.Serve(ctx, func(string, []byte) {}) }()
		send := func() {
			for range 20 {
				require.NoError(t, tr.Send("b", []byte("x")))
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
		}
		send()
		require.Contains(t, take(), `msg="transport: peer is out of reach"`)
		answer = nil
		send()
		require.Equal(t, `msg="transport: peer connected"`, take()[0])
		send()
		require.Empty(t, take())
		answer = errors.New("down")
		send()
		require.Equal(t, `msg="transport: peer lost"`, take()[0])
		for range 3 {
			tr.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
		}
		require.Equal(t, []string{`msg="transport: connections are refused"`, `reason="the introduction is garbled, cut short or too slow"`}, take())
		end()
		require.NoError(t, <-served)
		require.Empty(t, take())
	})
}

// roundTrip answers requests with 204, or with an error.
type roundTrip func() error

func (answer roundTrip) RoundTrip(*http.Request) (*http.Response, error) {
	if err := answer(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}
