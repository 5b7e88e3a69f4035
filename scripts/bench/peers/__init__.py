"""Other queues, each as a program that runs in an environment of its own (requirements-peers.txt).

``python -m scripts.bench.peers.<name>_peer prepare | fill N | work | ping N FIRST``: make its tables; queue N no-op
jobs; be one worker process; queue N jobs, numbered from FIRST, one at a time into an idle queue. BENCH_URL is the
server, BENCH_STAMPS a folder, BENCH_SETTING one of the settings that the peer is tried with.
"""
