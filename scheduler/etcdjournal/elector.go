package etcdjournal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler/lease"
)

// ElectorConfig says how to elect in an etcd.
type ElectorConfig struct {
	// Key that the leader holds, such as "service/leader". Required.
	Key string
	// TTL is how long a lease lasts that is not renewed: so long nobody leads after
	// the leader has died. etcd counts it in whole seconds, and may make it longer.
	// Zero is ten seconds.
	TTL time.Duration
	// Data that Leader returns while this replica leads, such as an address.
	Data []byte
	// Logger is told what fails and is tried again, as lease.Config says. Nil: nothing is
	// logged.
	Logger *slog.Logger
}

// Elector elects by one key, which is there as long as the lease of the leader. It
// is safe for concurrent use.
type Elector struct {
	*lease.Elector
	client *clientv3.Client
	cfg    ElectorConfig
}

// NewElector returns an Elector. It asks etcd for nothing.
func NewElector(client *clientv3.Client, cfg ElectorConfig) (*Elector, error) {
	cfg.TTL = cmp.Or(cfg.TTL, 10*time.Second)
	var errs []error
	if cfg.Key == "" {
		errs = append(errs, &placement.InvalidError{Field: "key", Value: `""`, Reason: "an elector needs one"})
	}
	if cfg.TTL < time.Second || cfg.TTL > 24*time.Hour || cfg.TTL%time.Second != 0 {
		errs = append(errs, &placement.InvalidError{Field: "ttl", Value: cfg.TTL.String(), Reason: "must be whole seconds, up to 24 h"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e := &Elector{client: client, cfg: cfg}
	elector, err := lease.New(lease.Config{Store: leaseStore{e}, Pause: cfg.TTL / 10, Logger: cfg.Logger})
	e.Elector = elector
	return e, err
}

// Leader is who holds the lease.
type Leader struct {
	// Token of its reign.
	Token uint64
	// Data of its ElectorConfig.
	Data []byte
}

// Leader returns who holds the lease, and false if nobody does.
func (e *Elector) Leader(ctx context.Context) (Leader, bool, error) {
	found, err := e.client.Get(ctx, e.cfg.Key)
	if err != nil {
		return Leader{}, false, fmt.Errorf("etcdjournal: read the lease: %w", err)
	}
	for _, kv := range found.Kvs {
		return Leader{uint64(kv.CreateRevision), kv.Value}, true, nil
	}
	return Leader{}, false, nil
}

// leaseStore is the key as lease.Elector uses it. The token is the revision at which
// the key was made: revisions grow with every change of the store, and so also when
// the key is deleted.
type leaseStore struct{ e *Elector }

// Acquire implements lease.Store. It waits until the key is not there, and makes it.
func (s leaseStore) Acquire(ctx context.Context) (lease.Grant, error) {
	for {
		found, err := s.e.client.Get(ctx, s.e.cfg.Key)
		if err != nil {
			return lease.Grant{}, fmt.Errorf("etcdjournal: read the lease: %w", err)
		}
		if len(found.Kvs) > 0 {
			if err := s.awaitDeletion(ctx, found.Header.Revision); err != nil {
				return lease.Grant{}, err
			}
			continue
		}
		if g, err := s.take(ctx); err != nil || g.Token > 0 {
			return g, err
		}
	}
}

// awaitDeletion returns when the key was deleted after a revision, when the watch
// is lost, or when it is time to look again in any case.
func (s leaseStore) awaitDeletion(ctx context.Context, revision int64) error {
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	again := time.NewTimer(s.e.cfg.TTL)
	defer again.Stop()
	changes := s.e.client.Watch(watching, s.e.cfg.Key, clientv3.WithRev(revision+1))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
			return nil
		case told, open := <-changes:
			if !open || told.Err() != nil {
				return pause(ctx, s.e.cfg.TTL/20)
			}
			for _, event := range told.Events {
				if event.Type == mvccpb.DELETE {
					return nil
				}
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// take makes one attempt, and returns no token if somebody else was faster. It does
// not end with ctx, but in time. A lease that comes to nothing is revoked.
func (s leaseStore) take(ctx context.Context) (lease.Grant, error) {
	attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.e.cfg.TTL)
	defer cancel()
	begun := time.Now()
	granted, err := s.e.client.Grant(attempt, int64(s.e.cfg.TTL/time.Second))
	if err != nil {
		return lease.Grant{}, fmt.Errorf("etcdjournal: ask for a lease: %w", err)
	}
	g := lease.Grant{Holder: holder(granted.ID), Begun: begun, For: time.Duration(granted.TTL) * time.Second}
	nobody := clientv3.Compare(clientv3.CreateRevision(s.e.cfg.Key), "=", 0)
	made, err := s.e.client.Txn(attempt).If(nobody).Then(
		clientv3.OpPut(s.e.cfg.Key, string(s.e.cfg.Data), clientv3.WithLease(granted.ID)),
	).Commit()
	if err == nil && made.Succeeded && ctx.Err() == nil {
		g.Token = uint64(made.Header.Revision)
		return g, nil
	}
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		err = nil // it has ended meanwhile
	}
	// If this fails it ends by itself.
	_ = s.Release(attempt, g)
	return lease.Grant{}, errors.Join(err, ctx.Err())
}

func holder(id clientv3.LeaseID) string { return strconv.FormatInt(int64(id), 16) }

func leaseOf(g lease.Grant) (clientv3.LeaseID, error) {
	id, err := strconv.ParseInt(g.Holder, 16, 64)
	return clientv3.LeaseID(id), err
}

// Renew implements lease.Store. It also looks whether the key is there: somebody may
// have deleted it by hand.
func (s leaseStore) Renew(ctx context.Context, g lease.Grant) (lease.Grant, error) {
	id, err := leaseOf(g)
	if err != nil {
		return g, err
	}
	g.Begun = time.Now()
	renewed, err := s.e.client.KeepAliveOnce(ctx, id)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return g, lease.ErrLost
	}
	if err != nil {
		return g, fmt.Errorf("etcdjournal: renew the lease: %w", err)
	}
	g.For = time.Duration(renewed.TTL) * time.Second
	leader, found, err := s.e.Leader(ctx)
	if err == nil && (!found || leader.Token != g.Token) {
		err = lease.ErrLost
	}
	return g, err
}

// Release implements lease.Store.
func (s leaseStore) Release(ctx context.Context, g lease.Grant) error {
	id, err := leaseOf(g)
	if err != nil {
		return err
	}
	if _, err := s.e.client.Revoke(ctx, id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("etcdjournal: revoke the lease: %w", err)
	}
	return nil
}
