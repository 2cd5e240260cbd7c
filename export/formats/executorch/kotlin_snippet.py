"""Kotlin that feeds an ExecuTorch program: the shortest class that an Android app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet
from export.phone_code import KOTLIN_CONSTANTS, KOTLIN_DECISION, KOTLIN_FIT

SNIPPET = Snippet(
    "ExecutorchClassifier.kt",
    Template(f"""\
// ExecuTorch: implementation("org.pytorch:executorch-android:1.5.1"). It loads $file by path, not from the assets.
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.graphics.Paint
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

class ExecutorchClassifier(path: String) : AutoCloseable {{
{KOTLIN_DECISION}
    private val module = Module.load(path, Module.LOAD_MODE_MMAP, 1)  // one thread
    private val image = Tensor.allocateByteBuffer(HEIGHT * WIDTH * 3)
    private val argb = IntArray(HEIGHT * WIDTH)

    /** [picture]: upright ARGB_8888 of any size, e.g. a frame of the camera; not a hardware bitmap. */
    fun decide(picture: Bitmap): Decision = decide(probabilities(picture))

    /** [picture] as for [decide]. Returns probabilities in the order of [LABELS]; decide by them with [decide]. */
    fun probabilities(picture: Bitmap): FloatArray {{
        fit(picture).getPixels(argb, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        image.rewind()
        for (pixel in argb) {{  // uint8 RGB, row by row; normalisation is in the model
            image.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }}
        image.rewind()
        val input = Tensor.fromBlobUnsigned(image, longArrayOf(1, HEIGHT.toLong(), WIDTH.toLong(), 3))
        return module.forward(EValue.from(input))[0].toTensor().dataAsFloatArray
    }}

{KOTLIN_FIT}
    override fun close() = module.destroy()

    companion object {{
{KOTLIN_CONSTANTS}    }}
}}
"""),
)
