package main

func Example() {
	main()
	// Output:
	// web-1 on n01, score 866 of 1000 (binpack: the fullest of the nodes that fit)
	// web-2 on n01, score 879 of 1000 (binpack: the fullest of the nodes that fit)
	// web-3 on n01, score 891 of 1000 (binpack: the fullest of the nodes that fit)
	// train-1 on n05, GPUs [0 1], score 0 of 1000
	//
	// utilization
	//   n01 us-east-1 cpu  38 %  memory  19 %  overall  28 %
	//   n02 us-east-1 cpu   0 %  memory   0 %  overall   0 %
	//   n03 us-east-1 cpu   0 %  memory   0 %  overall   0 %
	//   n04 us-east-1 cpu   0 %  memory   0 %  overall   0 %
	//   n05 us-east-1 cpu  25 %  memory  25 %  overall  33 %
	//   n06 us-west-2 cpu   0 %  memory   0 %  overall   0 %
	//   n07 us-west-2 cpu   0 %  memory   0 %  overall   0 %
	//   n08 us-west-2 cpu   0 %  memory   0 %  overall   0 %
	//   n09 us-west-2 cpu   0 %  memory   0 %  overall   0 %
	//   n10 us-west-2 cpu   0 %  memory   0 %  overall   0 %
	//
	// scheduler: 0 of 10 nodes fit big-1: 4 fail region = us-west-2, 4 lack cpu, 2 have taint dedicated=gpu:NoSchedule
	// explained: 0 of 10 nodes fit: 4 fail region = us-west-2 (n01 has us-east-1), 4 lack cpu (never fits: the largest, n01, gives 32), 2 have taint dedicated=gpu:NoSchedule; would help: a node like n06 with cpu=40
	// nearest miss: n06 lacks cpu (short of 8)
}
