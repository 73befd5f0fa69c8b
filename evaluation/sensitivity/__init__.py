"""Training-free measures of a network's sensitivity: input Jacobian, input Hessian, weight Hessian.

They need a network with weights, initialised or trained, and a few images, but no attack. A model is a module in eval
mode that maps inputs ``[batch, ...]`` to logits ``[batch, classes]``, each sample on its own. Functions compute in the
dtype and on the device of the inputs and leave the model as they found it: parameters are read through detached
copies of their handles, so flags and ``.grad`` stay untouched and no graph outlives a call.

In the shape descriptions ``C`` is the number of classes, ``D`` the number of values of one input. Units: pixels in
[0, 1], logits, nats.

On an NVIDIA GPU float32 convolutions may run in TF32 (``torch.backends.cudnn.allow_tf32``), which costs three decimal
digits; switch it off for figures to compare with a CPU's.
"""
