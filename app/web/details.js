// The server's sentences about tasks and requests, in Chinese.

const N = "([\\d.,]+)";
const SENTENCES = {
  // What a person can mend.
  "The document is protected: send its password in the field password.":
    "文档受密码保护，请提供密码。",
  "The password is wrong: send the document's password in the field password.":
    "密码不正确，请重新提供文档的密码。",
  "The document is protected by something else than a password, such as a certificate: send a copy without this protection.":
    "文档受密码以外的方式（例如证书）保护，请上传一份没有这种保护的副本。",
  "The document's protection cannot be undone.": "无法解除文档的保护，请上传一份没有保护的副本。",
  "The document's protection would take too long to undo.":
    "解除文档的保护耗时过长，请上传一份没有保护的副本。",
  "The document is protected twice.": "文档被加密了两次，请先解除其中一层保护。",
  "The document is damaged, or protected by something else than a password.":
    "文档已损坏，或受密码以外的方式保护。",
  "The document is damaged.": "文档已损坏，请重新导出或另存后再上传。",
  "The file is damaged.": "文件已损坏，请重新导出或另存后再上传。",
  "The PDF is damaged and cannot be read.": "PDF 已损坏，无法读取。请重新导出后再上传。",
  "The image is damaged or cannot be read.": "图片已损坏或无法读取，请换一份再试。",
  "A picture of a page is damaged and cannot be read.": "某一页的图片已损坏，无法读取。",
  "A page's picture cannot be read.": "某一页的图片无法读取。",
  "The file is packed in a way that cannot be read.": "文件的压缩方式无法读取，请另存后再上传。",
  "The document has no pages.": "文档没有页面。",
  "The presentation has no slides.": "演示文稿没有幻灯片。",
  "The workbook has no sheets.": "工作簿没有工作表。",
  "The workbook has macros of a kind that cannot be left out.":
    "工作簿含有无法去除的宏，请另存为不含宏的文件。",
  "Nothing is drawn.": "页面上没有内容。",
  "The file is empty. Accepted are {*}": "文件是空的。",
  "This kind of file cannot be read. Accepted are {*}":
    "无法读取这种文件。可接受 PDF、Word、Excel、PowerPoint 和图片。",
  "Files of the type {*} cannot be read.": "无法读取 {1} 类型的文件。",
  "Page {n} is damaged.": "第 {1} 页已损坏。",
  "Page {n} cannot be shown.": "第 {1} 页无法显示。",
  "Sheet {n} is too large to be shown.": "第 {1} 个工作表太大，无法显示。",
  // Too large.
  "The document has more than {n} pages; send it in parts.": "文档超过 {1} 页，请拆分后上传。",
  "The document has more than {n} parts; split it.": "文档的组成部分超过 {1} 个，请拆分后上传。",
  "The document is larger than the {n} MB that are accepted; send it in parts.":
    "文档超过 {1} MB 的上限，请拆分后上传。",
  "The document is larger than {n} bytes.": "文档超过 {1} 字节的上限，请拆分后上传。",
  "The document unpacks to more than the {n} MB that are accepted; send it in parts, or with smaller pictures.":
    "文档解压后超过 {1} MB 的上限，请拆分，或缩小其中的图片。",
  "The document unpacks to more than is accepted; send it printed to a new PDF, or in parts.":
    "文档解压后过大，请打印成新的 PDF，或拆分后上传。",
  "The document is packed so tightly that it may do harm; save it anew.":
    "文档的压缩比异常，请另存后再上传。",
  "A page draws the same too often; send it printed to a new PDF.":
    "某一页重复绘制的内容过多，请打印成新的 PDF 后上传。",
  "A part of the document is too large.": "文档的某一部分过大。",
  "The file has too many relationships.": "文件内部的引用过多。",
  "The file is an archive of more than {n} parts; send it in parts.":
    "文件的组成部分超过 {1} 个，请拆分后上传。",
  "The image has more than the {n} pixels that are accepted; scale it down.":
    "图片超过 {1} 像素的上限，请缩小后上传。",
  "The image has {n} x {n} pixels; at most {n} are accepted: scale it down.":
    "图片为 {1} × {2} 像素，上限为 {3}，请缩小后上传。",
  "The image has more than the {n} frames that are accepted; send it in parts.":
    "图片超过 {1} 帧的上限，请拆分后上传。",
  "The image has {n} frames; at most {n} are accepted: send it in parts.":
    "图片有 {1} 帧，上限为 {2}，请拆分后上传。",
  "The image has {n} frames of {*}": "图片的帧数和尺寸超过上限，请拆分后上传。",
  "The image has too much metadata; save it without.": "图片的元数据过多，请去除后另存。",
  "The image is stored in too many passes; save it anew.":
    "图片的存储方式过于复杂，请另存后再上传。",
  "The result has more than {n} MB; send the document in parts, or ask for txt.":
    "结果超过 {1} MB，请拆分文档，或选择文本格式。",
  "The result, or a file on the way to it, would be too large.":
    "结果或中间文件过大，请拆分后上传。",
  "The workbook has more than {n} filled cells.": "工作簿的非空单元格超过 {1} 个，请拆分后上传。",
  "The workbook has more than {n} characters.": "工作簿的字符超过 {1} 个，请拆分后上传。",
  "The workbook has more than {n} cells; xlsx takes any number of them.":
    "工作簿的单元格超过 {1} 个，请选择 Excel 格式。",
  // Time and means.
  "The document takes longer than the limit; send fewer pages.": "处理超过时限，请减少页数后重试。",
  "A page takes longer than the limit.": "某一页的处理超过时限。",
  "A page took longer than {n} s to read.": "某一页的识别超过 {1} 秒。",
  "Page {n} took too long.": "第 {1} 页耗时过长。",
  "The document took too long to open.": "打开文档耗时过长。",
  "The document took longer than {n} s to convert.": "转换文档超过 {1} 秒。",
  "The drawings of the document take too long.": "文档中的图形耗时过长。",
  "The document needs more memory than a task may take.": "文档需要的内存超过上限，请拆分后上传。",
  "The document needs more room on the disk than the server has.":
    "服务器磁盘空间不足以处理此文档。",
  "The image needs more memory than there is; scale it down.":
    "图片需要的内存超过上限，请缩小后上传。",
  "The server has too many files open; try again later.": "服务器打开的文件过多，请稍后重试。",
  "The file could not be stored: the disk is full or fails.":
    "文件无法保存：服务器磁盘已满或出现故障。",
  "An internal error; the server's log tells more under the task's id.":
    "内部错误，详情请管理员按任务编号查看服务器日志。",
  "An internal error; the server's log tells more.": "内部错误，详情请查看服务器日志。",
  "The page could not be read.": "页面无法识别。",
  "The recognition models are not installed.": "服务器未安装识别模型。",
  // Web addresses.
  "The answer of the server behind the URL is broken or incomplete.":
    "网址的服务器返回的内容不完整。",
  "The certificate of the server behind the URL is not valid.": "网址的服务器证书无效。",
  "The host in the URL is not on a public network.": "网址中的主机不在公共网络上。",
  "The host name in the URL cannot be resolved.": "无法解析网址中的主机名。",
  "The server behind the URL cannot be reached.": "无法连接网址的服务器。",
  "The server behind the URL does not answer.": "网址的服务器没有响应。",
  "The server behind the URL redirects to an address that is not allowed.":
    "网址被重定向到不允许的地址。",
  "The server behind the URL sends an unknown content encoding.": "网址的服务器使用了未知的编码。",
  "The server behind the URL answered with status {n}.": "网址的服务器返回状态码 {1}。",
  "The server behind the URL took longer than {n} s.": "网址的服务器响应超过 {1} 秒。",
  "The URL redirects more than {n} times.": "网址重定向超过 {1} 次。",
  "image_url: must begin with http:// or https://.": "网址必须以 http:// 或 https:// 开头。",
  "image_url: only these ports are allowed: {*}.": "网址只允许使用这些端口：{1}。",
  "image_url: the host or port is not well-formed.": "网址中的主机或端口格式不正确。",
  "image_url: a user name or password in it is not allowed.": "网址中不允许包含用户名或密码。",
  "image_url: is a result of this server; name the document itself.":
    "该网址是本服务器的结果，请提供文档本身的网址。",
  "image_url: white space, control characters and backslashes are not allowed.":
    "网址中不允许有空白、控制字符和反斜杠。",
  "image_url: longer than {n} characters.": "网址超过 {1} 个字符。",
  "This document needs LibreOffice, which the server does without: send it as PDF.":
    "本服务器没有安装 LibreOffice，不能处理这种文档，请转换为 PDF 后上传。",
  // Requests.
  "password must have at most {n} characters.": "密码最多 {1} 个字符。",
  "language: at most {n} languages, not {n}.": "最多选择 {1} 种语言。",
  "language: {*} cannot be read here before this is installed: {*}.":
    "本服务器暂时不能识别 {1}，需要管理员安装 {2}。",
  "This token may create {n} tasks in a minute.": "此令牌每分钟最多提交 {1} 个任务。",
  "This token has {n} unfinished tasks, which is its limit.":
    "此令牌有 {1} 个未完成的任务，已达上限。",
  "The body comes too slowly, or has stopped coming.": "上传太慢或已中断，请重试。",
  "Too many documents wait; try again later.": "排队的文档过多，请稍后重试。",
  "The server's disk is full; try again later.": "服务器磁盘已满，请稍后重试。",
  "The server's disk is full or fails; try again later.": "服务器磁盘已满或出现故障，请稍后重试。",
  "The database does not answer; try again later.": "数据库没有响应，请稍后重试。",
  "The queue does not answer; try again later.": "队列没有响应，请稍后重试。",
  "The workers are warming up.": "识别引擎正在预热，请稍候。",
  "Only an operator's token may see this.": "只有管理员的令牌可以查看。",
  "The document has no such page.": "文档没有这一页。",
  "There is no picture of this page.": "这一页没有图像。",
  "There is no such result.": "没有这个结果。",
  "The address is not valid any more; the task's record has a new one.":
    "下载地址已过期，请刷新页面。",
  "The document is not kept any more; send it again.": "服务器已不再保留此文档，请重新上传。",
  "The task is not complete; ask again when its state is 1.": "任务尚未完成。",
  "The task was just deleted; ask again.": "任务刚刚被删除。",
  "It is not ready yet; ask again.": "尚未就绪，请稍后再试。",
  "The database does not answer.": "数据库没有响应，请稍后重试。",
  "There is no such task.": "没有这个任务。",
  "The task was cancelled.": "任务已取消。",
  "The result was kept for its time and is deleted.": "结果已过保留期并被删除。",
};

/** Patterns of the sentences, with the Chinese ones; `{1}`, `{2}` … stand for what is in them. */
export const DETAILS = Object.entries(SENTENCES).map(([english, chinese]) => {
  const pattern = english
    .replace(/[.*+?^$()|[\]\\]/g, "\\$&")
    .replaceAll("{n}", N)
    .replaceAll("{\\*}", "(.+?)");
  return [new RegExp(`^${pattern}$`), chinese];
});
