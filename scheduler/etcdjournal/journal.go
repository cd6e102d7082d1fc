package etcdjournal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// Config says which journal of an etcd to open.
type Config struct {
	// Prefix of its keys, such as "service/journal/". Required: nobody else may write
	// below it.
	Prefix string
	// MaxRequest is how many bytes of records go into one request: less than the
	// --max-request-bytes of the server, which is 1.5 MiB by default. Zero is 1 MiB.
	MaxRequest int
	// Logger is told, at Info, that Follow has lost its watch and makes another. Nil:
	// nothing is logged.
	Logger *slog.Logger
}

// minRequest is the least that Config.MaxRequest may be.
const minRequest = 1 << 10

// Journal keeps the records of a scheduler in etcd. It is safe for concurrent use,
// and several hosts may have it open. Below its prefix are:
//
//	token              the highest token
//	head               which snapshot counts
//	parts/G/PART       the parts of the snapshot of generation G, and of the next
//	entries/SEQ        a batch of entries, the last of which has that Seq
//	chunks/KEY/I       pieces of a value of the last two kinds that is too long
type Journal struct {
	client *clientv3.Client
	cfg    Config
}

// Open returns the journal below a prefix, and makes it if it is new. It deposes
// nobody. The caller closes the client, after the last scheduler.
func Open(ctx context.Context, client *clientv3.Client, cfg Config) (*Journal, error) {
	cfg.MaxRequest = cmp.Or(cfg.MaxRequest, 1<<20)
	var errs []error
	if cfg.Prefix == "" {
		errs = append(errs, &placement.InvalidError{Field: "prefix", Value: `""`, Reason: "a journal needs one"})
	}
	if cfg.MaxRequest < minRequest {
		errs = append(errs, &placement.InvalidError{Field: "maxRequest", Value: strconv.Itoa(cfg.MaxRequest), Reason: "less than 1 KiB"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	j := &Journal{client, cfg}
	// There must be a token to compare with.
	missing := clientv3.Compare(clientv3.CreateRevision(j.key("token")), "=", 0)
	_, err := client.Txn(ctx).If(missing).Then(clientv3.OpPut(j.key("token"), digits(0))).Commit()
	if err != nil {
		return nil, fmt.Errorf("etcdjournal: open: %w", err)
	}
	return j, nil
}

func (j *Journal) key(rest string) string { return j.cfg.Prefix + rest }

// digits writes a number so that the greater one sorts last as text.
func digits(n uint64) string { return fmt.Sprintf("%020d", n) }

func entriesKey(seq uint64) string { return "entries/" + digits(seq) }

func partKey(generation uint64, part int) string {
	return "parts/" + digits(generation) + "/" + digits(uint64(part))
}

func chunkKey(of string, number int) string { return "chunks/" + of + "/" + digits(uint64(number)) }

// head says which snapshot counts.
type head struct {
	Generation, Seq uint64
	Parts           int // 0 if there is none
}

func (j *Journal) decodeHead(value []byte) (h head, err error) {
	if err := json.Unmarshal(value, &h); err != nil {
		return h, fmt.Errorf("etcdjournal: %shead: %w", j.cfg.Prefix, err)
	}
	return h, nil
}

// Acquire implements scheduler.Journal: one transaction.
func (j *Journal) Acquire(ctx context.Context, token uint64) error {
	return j.commit(ctx, "<", token, clientv3.OpPut(j.key("token"), digits(token)))
}

// commit runs a transaction if the token in the store is less than, or equal to,
// the given one. Comparing and writing are one step.
func (j *Journal) commit(ctx context.Context, relation string, token uint64, ops ...clientv3.Op) error {
	held := clientv3.Compare(clientv3.Value(j.key("token")), relation, digits(token))
	done, err := j.client.Txn(ctx).If(held).Then(ops...).Else(clientv3.OpGet(j.key("token"))).Commit()
	if err != nil {
		return fmt.Errorf("etcdjournal: %w", err)
	}
	if done.Succeeded {
		return nil
	}
	found := done.Responses[0].GetResponseRange().Kvs
	if len(found) == 0 {
		return fmt.Errorf("etcdjournal: %stoken is missing", j.cfg.Prefix)
	}
	highest, err := strconv.ParseUint(string(found[0].Value), 10, 64)
	if err != nil {
		return fmt.Errorf("etcdjournal: %stoken: %w", j.cfg.Prefix, err)
	}
	return &scheduler.FencedError{Token: token, Highest: highest}
}
