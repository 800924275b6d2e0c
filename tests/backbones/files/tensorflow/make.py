"""Made the checkpoints beside this file, with TensorFlow 2.21: `python make.py`. Not run by the tests."""

import os

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
tf1 = tf.compat.v1


def one() -> None:
    """saver/model.ckpt-7: what a TF-1 Saver writes, with every type that is read, and one that is not."""
    with tf.Graph().as_default():
        tf1.get_variable("base_model/conv2d/kernel", initializer=np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4))
        for i in range(20):
            name = f"base_model/batch_normalization{f'_{i}' if i else ''}/gamma"
            tf1.get_variable(name, initializer=np.full(4, i / 8, np.float32))
        tf1.get_variable("global_step", initializer=np.int64(250228))
        tf1.get_variable("double", initializer=np.array([0.1, -1e300]))
        tf1.get_variable("half", initializer=np.array([1.5, -2], np.float16))
        tf1.get_variable("brain", initializer=tf.constant([1.5, -2], tf.bfloat16))
        tf1.get_variable("flags", initializer=np.array([True, False, True]))
        tf1.get_variable("int32", initializer=np.array([[1], [-2]], np.int32))
        tf1.get_variable("empty", initializer=np.zeros((0, 3), np.float32))
        tf1.get_variable("words", initializer=np.array(["a", "bcd"]))
        saver = tf1.train.Saver()
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            saver.save(session, f"{HERE}/saver/model.ckpt", global_step=7, write_meta_graph=False)


def two() -> None:
    """object/two-1: what TF 2's Checkpoint writes; the object graph is text."""
    model, part = tf.Module(), tf.Module()
    model.w = tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3))
    model.part, part.b = part, tf.Variable(np.array([1, 2], np.int64))
    tf.train.Checkpoint(model=model).save(f"{HERE}/object/two")


one()
two()
for folder in ("saver", "object"):
    os.remove(f"{HERE}/{folder}/checkpoint")  # names this machine's folders
