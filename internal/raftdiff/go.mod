module github.com/rads-project/constellation/internal/raftdiff

go 1.26.0

require (
	github.com/rads-project/constellation v0.1.0
	github.com/stretchr/testify v1.12.1
	go.etcd.io/raft/v3 v3.7.0
	google.golang.org/protobuf v1.36.11
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/rads-project/constellation => ../..
