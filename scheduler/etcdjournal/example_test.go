package etcdjournal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/etcdjournal"
)

// etcd runs a server in this process, which a service would reach by
// clientv3.New.
func etcd() (client *clientv3.Client, stop func()) {
	dir, err := os.MkdirTemp("", "etcdjournal")
	if err != nil {
		log.Fatal(err)
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = dir, "panic"
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = anyPort, anyPort
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		log.Fatal(err)
	}
	<-server.Server.ReadyNotify()
	return v3client.New(server.Server), func() {
		server.Close()
		_ = os.RemoveAll(dir)
	}
}

func Example() {
	ctx := context.Background()
	client, stop := etcd()
	defer stop()
	journal, err := etcdjournal.Open(ctx, client, etcdjournal.Config{Prefix: "service/journal/"})
	if err != nil {
		log.Fatal(err)
	}
	elector, err := etcdjournal.NewElector(client, etcdjournal.ElectorConfig{Key: "service/leader"})
	if err != nil {
		log.Fatal(err)
	}
	for reign := range 2 { // the second one is that of another replica
		err := elector.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: token})
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			if reign == 0 {
				err = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
			}
			d, placeErr := s.Place(ctx, placement.Request{ID: "web-1", Resources: placement.Resources{CPU: placement.Core}})
			fmt.Printf("reign %d: %s is on %s\n", reign+1, d.ID, d.NodeID)
			return errors.Join(err, placeErr)
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// reign 1: web-1 is on n1
	// reign 2: web-1 is on n1
}
