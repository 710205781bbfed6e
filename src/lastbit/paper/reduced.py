"""Smaller trainings in place of the paper's, and what they cut in words."""

# A small network on bundled images, in under a second.
SMOKE_CNN = (
    "epochs=2",
    "batch_size=64",
    "data.train=512",
    "data.test=200",
    "schedule.milestones=[]",
    "measure.fluctuation_epochs=2",
    "measure.fluctuation_batches=4",
)
SMOKE_CUTS = (
    "a network of three convolutions on 512 images of Fashion-MNIST in place of ResNet-56 on CIFAR-10, 2 epochs of "
    "batches of 64 in place of 200 of 128, a fixed learning rate"
)

# Half a minute of one core for each run.
_SHORT = ("epochs=5", "batch_size=64", "schedule.milestones=[3,4]", "data.train=2560", "data.test=1000")
_MEASURED = ("measure.snapshot_epochs=1", "measure.fluctuation_epochs=5", "measure.fluctuation_batches=8")
LAPTOP_RESNET = ("model.name=resnet8", *_SHORT, *_MEASURED)
# Without shortcuts the last bit takes longer to grow, and a small network has the time.
LAPTOP_PLAIN = ("model.name=small-cnn", *_SHORT, *_MEASURED, "epochs=12", "schedule.milestones=[8,10]")
LAPTOP_CUTS = (
    "ResNet-8 in place of ResNet-56, 2,560 training and 1,000 test images, 5 epochs of batches of 64 in place of 200 "
    "of 128, learning rate divided after epochs 3 and 4"
)
LAPTOP_PLAIN_CUTS = "three convolutions without shortcuts and 12 epochs in place of VGG16-BN"
