"""BERT for pairs of sentences: word pieces, the network, and pretrained weights from their published files.

tokens = WordPieces.read(folder / "vocab.txt")
x = tokens.encode([("A man sleeps", "A man is awake")], length=32)     # (n, 2, length): word pieces and segments
network = pretrained_classifier(folder, classes=3, seed=1)
network(x)                                                             # logits (n, classes)
"""
