module github.com/rads-project/constellation/internal/linearize

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/rads-project/constellation v0.1.0
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/rads-project/constellation => ../..
