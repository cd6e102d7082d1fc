// Service is a scheduler as a service of three replicas: an election over TCP with
// mutual TLS, a journal in SQLite or PostgreSQL that all of them share or in a log of
// their own, and HTTP.
// README.md says how to start it and what it takes.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	_ "modernc.org/sqlite"             // registers the driver "sqlite"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/cluster"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
	"github.com/rads-project/constellation/scheduler/raftjournal"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/scheduler/sqljournal"
	"github.com/rads-project/constellation/transport/tcp"
)

// options are the flags of a replica.
type options struct {
	id, dir, db, tls string
	log              bool
	peers, http      map[string]string
	ttl              time.Duration
}

// addresses reads those of all replicas by their ID.
func addresses(text string) map[string]string {
	all := make(map[string]string)
	for pair := range strings.SplitSeq(text, ",") {
		id, address, _ := strings.Cut(pair, "=")
		all[id] = address
	}
	return all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.id, "id", "a", "this replica, one of -peers")
	peers := flag.String("peers", "a=127.0.0.1:7001,b=127.0.0.1:7002,c=127.0.0.1:7003", "addresses of all replicas, for the election")
	http := flag.String("http", "a=127.0.0.1:8001,b=127.0.0.1:8002,c=127.0.0.1:8003", "addresses of all replicas, for HTTP")
	flag.StringVar(&o.dir, "dir", "service-data", "folder for the state of the election, and of SQLite or the log")
	flag.BoolVar(&o.log, "log", false, "keep the journal in the replicas' own log, without a database")
	flag.StringVar(&o.db, "postgres", "", "data source of PostgreSQL; SQLite in -dir if empty")
	flag.StringVar(&o.tls, "tls", "", "folder with ca.crt, ID.crt and ID.key; without TLS if empty")
	flag.DurationVar(&o.ttl, "ttl", 15*time.Second, "how long a worker may be silent")
	flag.Parse()
	o.peers, o.http = addresses(*peers), addresses(*http)
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

// run takes part in the service until ctx ends, and hands over then.
func run(ctx context.Context, o options) error {
	cfg := cluster.Config{
		Name: "service", ID: o.id, Peers: o.peers, Dir: filepath.Join(o.dir, o.id), Insecure: o.tls == "",
		ElectionTimeout: 500 * time.Millisecond, Logger: slog.Default(), // machines that are shared
	}
	if o.tls != "" {
		file := func(name string) string { return filepath.Join(o.tls, name) }
		cfg.TLS = tcp.TLSFiles{Certificate: file(o.id + ".crt"), Key: file(o.id + ".key"), Authorities: file("ca.crt")}
	}
	machine := new(raftjournal.Machine)
	if o.log {
		cfg.Machine = machine
	}
	return cluster.Run(ctx, cfg, func(ctx context.Context, node *cluster.Node) error {
		if o.log {
			return serve(ctx, o, node, raftjournal.New(node.Node, machine))
		}
		db, journal, err := openJournal(ctx, o)
		if err != nil {
			return err
		}
		defer db.Close() //nolint:errcheck // What was acknowledged is durable.
		return serve(ctx, o, node, journal)
	})
}

// openJournal opens the database that all replicas share.
func openJournal(ctx context.Context, o options) (*sql.DB, *sqljournal.Journal, error) {
	driver, source, dialect := "pgx", o.db, sqljournal.PostgreSQL
	if o.db == "" {
		driver, dialect = "sqlite", sqljournal.SQLite
		source = filepath.Join(o.dir, "journal.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, nil, err
	}
	journal, err := sqljournal.Open(ctx, db, sqljournal.Config{Dialect: dialect, Logger: slog.Default()})
	return db, journal, err
}

// serve runs the replica and its HTTP until ctx or one of them ends.
func serve(ctx context.Context, o options, node *cluster.Node, journal scheduler.Journal) error {
	liveness, livenessErr := replica.NewLiveness(replica.LivenessConfig{TTL: o.ttl, Logger: slog.Default()})
	r, err := replica.New(replica.Config{
		Elector: node, Journal: journal, Leads: raft.Leads, Serve: liveness.Run, Logger: slog.Default(),
		Scheduler: scheduler.Config{Logger: slog.Default()},
		Leader: func() (string, bool) {
			m, known := node.Leader()
			return "http://" + o.http[m.ID], known && m.ID != o.id
		},
	})
	if err := errors.Join(err, livenessErr); err != nil {
		return err
	}
	page, err := debugpage.New(debugpage.Config{Replica: r, Liveness: liveness, Election: node.Status, Transport: node.Transport.Stats})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api{r, liveness}.routes())
	mux.Handle(debugpage.DefaultPrefix, page)
	server := &http.Server{Addr: o.http[o.id], Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	server.RegisterOnShutdown(page.Close)
	running, end := context.WithCancel(ctx)
	defer end()
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe(); end() }()
	err = r.Run(running) // until nothing is left of a reign
	closing, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	_ = server.Shutdown(closing) // or who has no answer by then repeats the request
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
