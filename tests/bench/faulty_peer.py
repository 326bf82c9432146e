"""Benchmark peers with faults: other numbers, an exception, a crash."""

import os

from byhand.bench import byhand_peer


class Peer(byhand_peer.Peer):
    def __init__(self, hand, how):
        super().__init__(hand)
        self.how = how
        if how == "raises":
            raise RuntimeError("no such wheel\nand more of it")
        if how == "dies":
            os.write(2, b"cannot load its library\n")
            os._exit(3)

    def network(self, model, lr, momentum):
        return super().network(model, lr * 2 if self.how == "learns faster" else lr, momentum)
